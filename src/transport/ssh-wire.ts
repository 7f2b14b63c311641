/** The data types of SSH that keys and signatures are written in (RFC 4251 section 5). Pure. */

/** `string` each: a length and the bytes. */
export function encodeStrings(...values: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
      return [encodeUint32(bytes.length), bytes];
    }),
  );
}

export function encodeUint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Reads one value after the other. @throws {RangeError} where bytes are missing */
export class WireReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE(0);
  }

  string(): Buffer {
    return this.bytes(this.uint32());
  }

  text(): string {
    return this.string().toString('latin1');
  }

  bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('a value goes beyond the end');
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }
}

/** The type at the start of a public key in wire format (RFC 4253 section 6.6), such as `ssh-ed25519`. */
export function keyTypeOf(blob: Buffer): string {
  return new WireReader(blob).text();
}
