const SLAB = 256 * 1024;
const SAFE_ZIGZAG = 2 ** 52;

/**
 * Avro's binary encoding (specification, "Binary Encoding"), written into large slabs that finished values are cut
 * from. Written by hand because it is the hottest loop of the producer: a value goes from PostgreSQL's message to
 * Kafka's without a JavaScript string or object in between.
 */
export class AvroBytes {
  #slab = Buffer.allocUnsafeSlow(SLAB);
  #start = 0;
  #at = 0;

  /** Cuts off what was written since the last cut. */
  cut(): Buffer {
    const value = this.#slab.subarray(this.#start, this.#at);
    this.#start = this.#at;
    return value;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#slab.length) return;
    const written = this.#at - this.#start;
    const next = Buffer.allocUnsafeSlow(Math.max(SLAB, 2 * (written + bytes)));
    this.#slab.copy(next, 0, this.#start, this.#at);
    this.#slab = next;
    this.#start = 0;
    this.#at = written;
  }

  byte(value: number): void {
    this.#room(1);
    this.#slab[this.#at++] = value;
  }

  /** An `int` or `long` that a JavaScript number holds exactly. */
  long(value: number): void {
    this.#room(10);
    let rest = value >= 0 ? value * 2 : -value * 2 - 1;
    if (rest >= SAFE_ZIGZAG) {
      this.bigLong(BigInt(value));
      return;
    }
    const slab = this.#slab;
    while (rest > 0x7fffffff) {
      slab[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      slab[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    slab[this.#at++] = rest;
  }

  /** Any 64-bit `long`. */
  bigLong(value: bigint): void {
    this.#room(10);
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
    while (rest > 0x7fn) {
      this.#slab[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#slab[this.#at++] = Number(rest);
  }

  /** A `string` or `bytes` whose content lies in another buffer. */
  bytes(source: Buffer, start: number, end: number): void {
    this.long(end - start);
    this.raw(source, start, end);
  }

  /** Bytes that are encoded already. */
  raw(source: Buffer, start = 0, end = source.length): void {
    const length = end - start;
    this.#room(length);
    if (length <= 24) {
      for (let i = start; i < end; i++) this.#slab[this.#at++] = source[i]!;
    } else {
      source.copy(this.#slab, this.#at, start, end);
      this.#at += length;
    }
  }

  string(text: string): void {
    const length = Buffer.byteLength(text);
    this.long(length);
    this.#room(length);
    this.#slab.write(text, this.#at, length, 'utf8');
    this.#at += length;
  }

  float(value: number): void {
    this.#room(4);
    this.#slab.writeFloatLE(value, this.#at);
    this.#at += 4;
  }

  double(value: number): void {
    this.#room(8);
    this.#slab.writeDoubleLE(value, this.#at);
    this.#at += 8;
  }
}

/** Reads what AvroBytes wrote. Throws a RangeError at the end of the buffer. */
export class AvroReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError('an Avro value ends early');
    return byte;
  }

  /** The zigzag form of a `long`: exact below 2^53, else about its size. */
  #zigzag(): number {
    let byte = this.#byte();
    let value = byte & 0x7f;
    let factor = 128;
    while (byte & 0x80) {
      byte = this.#byte();
      value += (byte & 0x7f) * factor;
      factor *= 128;
    }
    return value;
  }

  /** A `long` that a JavaScript number holds exactly; throws a RangeError for one that does not. */
  long(): number {
    const value = this.#zigzag();
    if (value >= Number.MAX_SAFE_INTEGER) throw new RangeError('an Avro long exceeds 2^53');
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** Any 64-bit `long`, as decimal text. */
  longText(): string {
    const start = this.#at;
    const value = this.#zigzag();
    if (value < SAFE_ZIGZAG) return String(value % 2 === 0 ? value / 2 : -(value + 1) / 2);
    let big = 0n;
    let shift = 0n;
    for (let i = start; i < this.#at; i++) {
      big |= BigInt(this.#bytes[i]! & 0x7f) << shift;
      shift += 7n;
    }
    return String((big >> 1n) ^ -(big & 1n));
  }

  string(): string {
    const length = this.long();
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new RangeError('an Avro value ends early');
    return this.#bytes.toString('utf8', start, this.#at);
  }

  boolean(): boolean {
    return this.#byte() === 1;
  }

  float(): number {
    this.#at += 4;
    return this.#bytes.readFloatLE(this.#at - 4);
  }

  double(): number {
    this.#at += 8;
    return this.#bytes.readDoubleLE(this.#at - 8);
  }
}
