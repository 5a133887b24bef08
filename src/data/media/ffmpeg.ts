import { constants } from 'node:fs';
import { access, chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { execa } from 'execa';
import { EngineError, InputError } from '../../errors.ts';

/** The two programs that read media. */
export interface MediaTools {
  readonly ffmpeg: string;
  readonly ffprobe: string;
  /** First line of `ffmpeg -version`: pixels and samples depend on it, so it is part of the cache key. */
  readonly version: string;
}

export interface MediaRun {
  readonly stdout: Uint8Array;
  /** The last lines of what the program wrote to standard error. */
  readonly complaints: string;
}

export interface MediaRunOptions {
  /** Time limit of one file. */
  readonly timeoutSeconds?: number;
  /** When that time is over, by `performance.now()`; from `startMediaClock`. Without it each run has the whole time. */
  readonly deadline?: number;
}

/** Time limit of one file where none is given. */
const defaultMediaTimeoutSeconds = 120;

/** Lets the time of one file begin: all runs over it together have to keep to the limit. */
export function startMediaClock({ timeoutSeconds = defaultMediaTimeoutSeconds }: MediaRunOptions = {}) {
  return { timeoutSeconds, deadline: performance.now() + timeoutSeconds * 1000 };
}

/** Largest output held in memory: more than two hours of stereo sound at 16 kHz. */
const maxOutputBytes = 1024 ** 3;

const packages = { ffmpeg: '@ffmpeg-installer/ffmpeg', ffprobe: '@ffprobe-installer/ffprobe' } as const;
let found: Promise<MediaTools> | undefined;

/**
 * Finds ffmpeg and ffprobe: those on PATH first, else the ones inside the npm packages `@ffmpeg-installer/ffmpeg` and
 * `@ffprobe-installer/ffprobe`. The answer is kept for the life of the process.
 *
 * @throws EngineError `FFMPEG_MISSING`, `FFMPEG_NOT_EXECUTABLE`
 */
export function findMediaTools(): Promise<MediaTools> {
  found ??= locateTools().catch((error: unknown) => {
    found = undefined;
    throw error;
  });
  return found;
}

async function locateTools(): Promise<MediaTools> {
  const ffmpeg = await locate('ffmpeg');
  const ffprobe = await locate('ffprobe');
  return { ffmpeg: ffmpeg.path, ffprobe: ffprobe.path, version: ffmpeg.version };
}

async function versionLine(program: string): Promise<string | undefined> {
  const result = await execa(program, ['-version'], { reject: false, timeout: 20_000, stdin: 'ignore' });
  return result.exitCode === 0 ? result.stdout.split('\n')[0] : undefined;
}

async function locate(name: keyof typeof packages): Promise<{ path: string; version: string }> {
  const onPath = await versionLine(name);
  if (onPath !== undefined) return { path: name, version: onPath };
  const path = packagedPath(name);
  if (path !== undefined) {
    await makeExecutable(path);
    const version = await versionLine(path);
    if (version !== undefined) return { path, version };
  }
  throw new EngineError(
    'FFMPEG_MISSING',
    `Reading video and audio needs ${name}, which is neither on PATH nor usable from the npm package ${packages[name]} ` +
      `on ${process.platform} ${process.arch}. Install FFmpeg (Debian, Ubuntu: apt-get install ffmpeg; macOS: brew install ` +
      `ffmpeg; Windows: winget install ffmpeg) or run: npm install ${packages[name]}.`,
  );
}

function packagedPath(name: keyof typeof packages): string | undefined {
  try {
    return (createRequire(import.meta.url)(packages[name]) as { path: string }).path;
  } catch {
    // Not installed, or no binary for this platform (the packages throw strings): the caller says what to do.
    return undefined;
  }
}

/** Package managers that run no install scripts leave the binaries without the permission to execute. */
async function makeExecutable(path: string): Promise<void> {
  try {
    await access(path, constants.X_OK);
  } catch {
    await chmod(path, 0o755).catch((error: unknown) => {
      throw new EngineError(
        'FFMPEG_NOT_EXECUTABLE',
        `${path} may not be executed, and its permissions cannot be changed. Run: chmod 755 ${path}.`,
        { cause: error },
      );
    });
  }
}

/**
 * Checks that a media file is there and has content.
 *
 * @throws InputError `MEDIA_MISSING`, `MEDIA_EMPTY`
 */
export async function checkMediaFile(file: string): Promise<void> {
  const status = await stat(file).catch(() => undefined);
  if (status === undefined) {
    throw new InputError('MEDIA_MISSING', `There is no file ${file}.`);
  }
  // Opening a pipe would wait for its writer.
  if (!status.isFile()) {
    throw new InputError('MEDIA_MISSING', `${file} is a folder, a pipe or a device, and a file is expected.`);
  }
  if (status.size === 0) {
    throw new InputError(
      'MEDIA_EMPTY',
      `${file} has 0 bytes. It was probably not copied or downloaded fully.`,
    );
  }
}

/** Arguments that open a file as local input only: a playlist inside it cannot reach other hosts. */
export function inputArguments(file: string): string[] {
  return ['-protocol_whitelist', 'file,pipe', '-i', resolve(file)];
}

/** Programs at work. Each leads a process group of its own, so that one that starts others is ended with them. */
const running = new Set<number>();

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

function endAllGroups(): void {
  for (const leader of running) endGroup(leader);
}

/** Runs a program; where its time is over it is ended, with all that it started. */
async function runWithin(program: string, programArguments: readonly string[], milliseconds: number) {
  // Windows has no process groups: there the program itself is ended by execa.
  const grouped = process.platform !== 'win32';
  const child = execa(program, programArguments, {
    encoding: 'buffer',
    stripFinalNewline: false,
    stdin: 'ignore',
    reject: false,
    maxBuffer: maxOutputBytes,
    detached: grouped,
    ...(grouped ? {} : { timeout: milliseconds }),
  });
  const { pid } = child;
  if (!grouped || pid === undefined) {
    const result = await child;
    return { result, timedOut: result.timedOut };
  }
  if (running.size === 0) process.once('exit', endAllGroups);
  running.add(pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endGroup(pid);
  }, milliseconds);
  try {
    return { result: await child, timedOut };
  } finally {
    clearTimeout(timer);
    running.delete(pid);
    if (running.size === 0) process.off('exit', endAllGroups);
  }
}

/**
 * Runs ffmpeg or ffprobe once over a file and returns its standard output.
 *
 * @throws InputError `MEDIA_UNREADABLE` (with the end of the program's messages), `MEDIA_TIMEOUT`, `MEDIA_TOO_LARGE`,
 *   `MEDIA_TOOL_CRASHED`
 */
export async function runMediaTool(
  program: 'ffmpeg' | 'ffprobe',
  file: string,
  programArguments: readonly string[],
  options: MediaRunOptions = {},
): Promise<MediaRun> {
  const { timeoutSeconds, deadline } = { ...startMediaClock(options), ...options };
  const tools = await findMediaTools();
  const always = program === 'ffmpeg' ? ['-nostdin', '-hide_banner', '-v', 'error'] : ['-v', 'error'];
  const left = Math.max(1, deadline - performance.now());
  const { result, timedOut } = await runWithin(tools[program], [...always, ...programArguments], left);
  const complaints = messageTail(result.stderr);
  if (timedOut) {
    throw new InputError(
      'MEDIA_TIMEOUT',
      `Reading ${file} took longer than ${timeoutSeconds} s, and ${program} was stopped. Shorten or re-encode the file, or raise data.decodeTimeout.`,
    );
  }
  if (result.isMaxBuffer) {
    throw new InputError(
      'MEDIA_TOO_LARGE',
      `${file} decodes to more than ${maxOutputBytes} bytes. Cut it into shorter clips.`,
    );
  }
  if (result.signal !== undefined) {
    throw new InputError(
      'MEDIA_TOOL_CRASHED',
      `${program} itself broke down (${result.signal}) on ${file}. Put the file into another container, e.g.: ffmpeg -i in.ts -c copy out.mp4, or install a newer FFmpeg.`,
    );
  }
  if (result.exitCode !== 0) {
    throw new InputError(
      'MEDIA_UNREADABLE',
      `${file} cannot be read: it is damaged, cut off or of a kind that ${program} does not know. ${program} says: ${
        complaints || (result.shortMessage ?? 'nothing')
      }`,
    );
  }
  return { stdout: result.stdout, complaints };
}

function messageTail(stderr: Uint8Array): string {
  const lines = Buffer.from(stderr).toString('utf8').trim().split('\n');
  return lines.slice(-4).join(' | ').slice(-600);
}
