import type { InputError } from '../../errors.ts';
import { instructions } from './instructions.ts';
import { opcodeName } from './opcodes.ts';
import { PickleReader, quoted } from './reader.ts';
import type { PickleGlobal, PickleGlobals, PickleObject, PickleValue } from './values.ts';

/** A kind of file that holds pickles, with all that those may refer to. */
export interface PickleKind {
  /** For messages: `a torch checkpoint`. */
  readonly name: string;
  readonly globals: PickleGlobals;
  /** What to do where a file refers to something else. */
  readonly advice: string;
}

export interface UnpickleOptions {
  readonly kind: PickleKind;
  /** The file, for messages. */
  readonly where: string;
  /** Position of the pickle's first byte; 0 unless given. */
  readonly start?: number;
  /** Gives what a persistent id stands for; undefined where it is not as expected. Absent: none are accepted. */
  readonly persistentLoad?: (id: PickleValue) => PickleValue | undefined;
}

export interface Unpickled {
  readonly value: PickleValue;
  /** Position after the pickle, where a file may hold another one. */
  readonly end: number;
}

/** Values that one pickle may make: below what a JavaScript map can hold, far above what checkpoints have. */
const maxValues = 16_000_000;

/** An allow-listed global on the stack. */
class GlobalReference implements PickleObject {
  readonly name: string;
  readonly global: PickleGlobal;

  constructor(name: string, global: PickleGlobal) {
    this.name = name;
    this.global = global;
  }

  get description(): string {
    return this.name;
  }
}

const sizeOf = (value: PickleValue): number => {
  if (typeof value === 'string' || value instanceof Uint8Array || Array.isArray(value)) return value.length;
  return value instanceof Map || value instanceof Set ? value.size : 1;
};

/** Pickle's stack machine, one instance a pickle. It never recurses and calls nothing but the allow-list's entries. */
export class PickleMachine {
  readonly reader: PickleReader;
  readonly stack: PickleValue[] = [];
  readonly #options: UnpickleOptions;
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  /** Which global made an object: it alone may give it a state. */
  readonly #madeBy = new WeakMap<object, GlobalReference>();
  #values = 0;
  /** What constructors and states may still be given: one large memoized value must not be copied again and again. */
  #copies: number;
  /** Position of the opcode that is being carried out. */
  #at = 0;

  constructor(bytes: Uint8Array, options: UnpickleOptions) {
    this.#options = options;
    this.#copies = 16 * bytes.byteLength + 65_536;
    this.reader = new PickleReader(bytes, options.where, options.start ?? 0);
  }

  run(): Unpickled {
    for (;;) {
      this.#at = this.reader.position;
      const code = this.reader.uint8();
      const name = opcodeName(code);
      if (name === 'STOP') return { value: this.pop(), end: this.reader.position };
      const carryOut = name === undefined ? undefined : instructions[name];
      if (carryOut === undefined) {
        const opcode = name ?? `0x${code.toString(16).padStart(2, '0')}, which is none of pickle's,`;
        const { kind } = this.#options;
        throw this.fault('OPCODE', `the opcode ${opcode} is not allowed in ${kind.name}. ${kind.advice}`);
      }
      carryOut(this);
    }
  }

  fault(code: string, what: string): InputError {
    return this.reader.fault(code, what, this.#at);
  }

  invalid(what: string): InputError {
    return this.fault('INVALID', `${what} The file is damaged or was not written by pickle.`);
  }

  #count(): void {
    if (++this.#values > maxValues) {
      throw this.fault('LIMIT', `more than ${maxValues} values; no checkpoint needs as many.`);
    }
  }

  push(value: PickleValue): void {
    this.#count();
    this.stack.push(value);
  }

  pop(): PickleValue {
    this.#checkDepth(1);
    return this.stack.pop()!;
  }

  top(): PickleValue {
    this.#checkDepth(1);
    return this.stack.at(-1)!;
  }

  #checkDepth(count: number): void {
    if (this.stack.length - (this.#marks.at(-1) ?? 0) < count) {
      throw this.invalid(`an opcode needs ${count} values and finds fewer.`);
    }
  }

  mark(): void {
    this.#count();
    this.#marks.push(this.stack.length);
  }

  /** Everything above the last mark, which goes too. */
  popMark(): PickleValue[] {
    const from = this.#marks.pop();
    if (from === undefined) throw this.invalid('an opcode needs a mark and finds none.');
    return this.stack.splice(from);
  }

  /** What POP does: takes a mark away where that is on top. */
  discard(): void {
    if (this.#marks.at(-1) === this.stack.length) this.#marks.pop();
    else this.pop();
  }

  tuple(count: number): void {
    this.#checkDepth(count);
    this.push(this.stack.splice(this.stack.length - count));
  }

  remember(index: number): void {
    this.#count();
    this.#memo.set(index, this.top());
  }

  memoize(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.invalid(`nothing was remembered under ${index}.`);
    this.push(value);
  }

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.invalid('values are appended to what is no list.');
    for (const value of values) list.push(value);
  }

  add(values: readonly PickleValue[]): void {
    const set = this.top();
    if (!(set instanceof Set)) throw this.invalid('values are added to what is no set.');
    for (const value of values) set.add(value);
  }

  setItems(items: readonly PickleValue[]): void {
    const map = this.top();
    if (!(map instanceof Map)) throw this.invalid('items are set in what is no dictionary.');
    if (items.length % 2 !== 0) throw this.invalid('a key without a value.');
    for (let index = 0; index < items.length; index += 2) {
      const key = items[index]!;
      if (map.has(key)) throw this.invalid(`a dictionary has the key ${describe(key)} twice.`);
      map.set(key, items[index + 1]!);
    }
  }

  text(value: string | undefined): void {
    if (value === undefined) throw this.invalid('a string is not written as pickle writes it.');
    this.push(value);
  }

  /** Pushes what a global stands for. @throws InputError `PICKLE_FORBIDDEN` */
  global(module: PickleValue, name: PickleValue): void {
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.invalid('the name of a global is not a string.');
    }
    const full = `${module}.${name}`;
    const { kind } = this.#options;
    const global = kind.globals.get(full);
    if (global === undefined) {
      throw this.fault(
        'FORBIDDEN',
        `it refers to ${quoted(full)}, which is nothing that ${kind.name} needs, and is refused; nothing was run. ${kind.advice}`,
      );
    }
    this.push(global.value ?? new GlobalReference(full, global));
  }

  /** REDUCE and its kin. @throws InputError `PICKLE_FORBIDDEN` */
  construct(callee: PickleValue, args: PickleValue): void {
    if (!(callee instanceof GlobalReference) || callee.global.construct === undefined) {
      const what = callee instanceof GlobalReference ? callee.name : describe(callee);
      throw this.fault('FORBIDDEN', `it calls ${what}, which is refused; nothing was run.`);
    }
    if (!Array.isArray(args)) throw this.invalid(`the arguments of ${callee.name} are not a tuple.`);
    this.#countCopies(args, callee.name);
    const value = callee.global.construct(args);
    if (value === undefined) {
      throw this.invalid(
        `the arguments of ${callee.name} (${args.map(describe).join(', ')}) are not its own.`,
      );
    }
    if (typeof value === 'object' && value !== null) this.#madeBy.set(value, callee);
    this.push(value);
  }

  #countCopies(values: readonly PickleValue[], of: string): void {
    this.#copies -= values.reduce<number>((sum, value) => sum + sizeOf(value), 1);
    if (this.#copies < 0) {
      throw this.fault('LIMIT', `${of} is given the same large values over and over.`);
    }
  }

  build(): void {
    const state = this.pop();
    const target = this.top();
    const maker =
      typeof target === 'object' && target !== null ? this.#madeBy.get(target as object) : undefined;
    if (maker?.global.setState === undefined) {
      const what = maker?.name ?? describe(target);
      throw this.fault('FORBIDDEN', `it sets the state of ${what}, which is refused; nothing was run.`);
    }
    this.#countCopies(Array.isArray(state) ? state : [state], maker.name);
    if (!maker.global.setState(target, state)) {
      throw this.invalid(`the state of ${maker.name} is not its own.`);
    }
  }

  persistent(id: PickleValue): void {
    const value = this.#options.persistentLoad?.(id);
    if (value === undefined) {
      const { kind } = this.#options;
      throw this.fault(
        'PERSISTENT_ID',
        `it refers to ${describe(id)} by a persistent id, which ${kind.name} has not.`,
      );
    }
    this.push(value);
  }
}

/** What a value is, for messages. */
function describe(value: PickleValue): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return `the string "${quoted(value)}"`;
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dictionary';
  if (value instanceof Set) return 'a set';
  return typeof value === 'object' ? value.description : String(value).slice(0, 40);
}
