import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { InputError } from '../errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says about the Hugging Face hub, under the names that its Python client reads. */
export interface HubSettings {
  /** Address of the hub or a mirror of it (`HF_ENDPOINT`), without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint, and to no other host. */
  readonly token: string | undefined;
  /** Folder that holds `models--organisation--name`. */
  readonly cacheFolder: string;
  /** `HF_HUB_OFFLINE`: the first request is an error. */
  readonly offline: boolean;
  /** False: files of a snapshot are moved or copied there instead of linked (`HF_HUB_DISABLE_SYMLINKS`). */
  readonly symlinks: boolean;
  /** Without a byte for so long, a connection counts as cut (`HF_HUB_DOWNLOAD_TIMEOUT`, in seconds). */
  readonly stallMilliseconds: number;
  /** Whether a proxy is named, which Node uses only when told to; for the message about a hub out of reach. */
  readonly proxyUnused: boolean;
}

const publicHub = 'https://huggingface.co';
const defaultStallSeconds = 30;

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '');

/** A folder or file name with `~`, `$NAME` and `${NAME}` replaced, as the Python client does. */
function expanded(name: string, environment: Environment): string {
  const home = name.replace(/^~(?=[/\\]|$)/, () => os.homedir());
  return home.replace(/\$(?:(\w+)|\{([^}]+)\})/g, (whole, plain, braced) => {
    return environment[(plain ?? braced) as string] ?? whole;
  });
}

function hubHome(environment: Environment): string {
  const home = environment.HF_HOME || undefined;
  const caches = environment.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return expanded(home ?? path.join(caches, 'huggingface'), environment);
}

/** The folder of the hub's cache: `HF_HUB_CACHE`, or below `HF_HOME`, or `~/.cache/huggingface/hub`. */
export function hubCacheFolder(environment: Environment = process.env): string {
  const named = environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE;
  return named ? expanded(named, environment) : path.join(hubHome(environment), 'hub');
}

/**
 * The token of the environment (`HF_TOKEN`, or the older `HUGGING_FACE_HUB_TOKEN`), or else of the file that
 * `hf auth login` writes (`HF_TOKEN_PATH`, or `token` below `HF_HOME`).
 *
 * @throws InputError `HUB_TOKEN_INVALID` where it cannot be a token; its text is not repeated
 */
function findToken(environment: Environment): string | undefined {
  if (isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  let source = environment.HF_TOKEN ? 'HF_TOKEN' : 'HUGGING_FACE_HUB_TOKEN';
  let token = environment[source];
  if (!token) {
    source = expanded(environment.HF_TOKEN_PATH || path.join(hubHome(environment), 'token'), environment);
    token = existsSync(source) ? readFileSync(source, 'utf8') : '';
  }
  token = token.trim();
  if (token === '') return undefined;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new InputError(
      'HUB_TOKEN_INVALID',
      `What ${source} holds is not a token of the hub: a token is one line without blanks or special characters.`,
    );
  }
  return token;
}

function findEndpoint(environment: Environment): string {
  const endpoint = environment.HF_ENDPOINT || publicHub;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new InputError(
      'HUB_ENDPOINT_INVALID',
      `HF_ENDPOINT is "${endpoint}"; expected is the address of a hub or mirror, as in https://hf-mirror.com.`,
    );
  }
  return endpoint.replace(/\/+$/, '');
}

/**
 * Reads what the environment says.
 * @throws InputError `HUB_ENDPOINT_INVALID`, `HUB_TOKEN_INVALID`
 */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const stall = Number(environment.HF_HUB_DOWNLOAD_TIMEOUT || defaultStallSeconds);
  const proxy = environment.HTTPS_PROXY || environment.https_proxy;
  return {
    endpoint: findEndpoint(environment),
    token: findToken(environment),
    cacheFolder: path.resolve(hubCacheFolder(environment)),
    offline: isTrue(environment.HF_HUB_OFFLINE || environment.TRANSFORMERS_OFFLINE),
    symlinks: !isTrue(environment.HF_HUB_DISABLE_SYMLINKS),
    stallMilliseconds: (stall > 0 ? stall : defaultStallSeconds) * 1000,
    proxyUnused: Boolean(proxy) && !isTrue(environment.NODE_USE_ENV_PROXY),
  };
}
