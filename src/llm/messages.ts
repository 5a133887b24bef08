/** A piece of a message, as OpenAI's protocol has it. */
export type ContentPart =
  | { readonly type: 'text'; readonly text: string }
  /** An address, or the image itself: `data:image/png;base64,…`. */
  | {
      readonly type: 'image_url';
      readonly image_url: { readonly url: string; readonly detail?: 'auto' | 'low' | 'high' };
    };

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | readonly ContentPart[];
}

export interface ChatReply {
  readonly text: string;
  /** Why the text ends: `stop`; `length` where it was cut at the greatest number of tokens; or another word of the server. */
  readonly finish: string;
}

/** Whatever answers messages: an endpoint, or a model of one's own. */
export interface ChatModel {
  complete(messages: readonly ChatMessage[], options?: { readonly signal?: AbortSignal }): Promise<ChatReply>;
}
