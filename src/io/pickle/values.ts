/**
 * What a pickle may hold, in JavaScript's terms: `int` is a number where that is exact and a bigint elsewhere, lists and
 * tuples are arrays, `dict` and `OrderedDict` are maps, `bytes` and `bytearray` are byte arrays. Everything else is made
 * by an entry of the allow-list and is a `PickleObject`.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | PickleObject;

/** A value of a class of ours, made by an allow-listed global or by `persistentLoad`. */
export interface PickleObject {
  /** What it is, for messages: `a tensor`. */
  readonly description: string;
}

/**
 * Something that a pickle may refer to by module and name. It stands for code of ours; nothing that a pickle says is
 * ever looked up, imported or called.
 */
export interface PickleGlobal {
  /**
   * What a call makes of its arguments; undefined where they are not as expected. Absent: the global may be named, not
   * called.
   */
  readonly construct?: (args: readonly PickleValue[]) => PickleValue | undefined;
  /**
   * Takes the state that the opcode BUILD gives a value made by `construct`; false where it is not as expected. Absent:
   * no state is accepted.
   */
  readonly setState?: (value: PickleValue, state: PickleValue) => boolean;
  /** What it stands for where it is a value by itself, as an element type. Absent: it can only be called. */
  readonly value?: PickleValue;
}

/** Globals by their full Python name, `collections.OrderedDict`: one such list for each kind of file. */
export type PickleGlobals = ReadonlyMap<string, PickleGlobal>;
