/** Frames survive any cut of the stream, and a peer that sends anything else is refused at once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  encodeControl,
  encodeFrame,
  encodeHeader,
  FRAME,
  type Frame,
  FrameError,
  FrameReader,
  type FrameType,
  parseControl,
  splitPayload,
} from '../../src/broker/frame.ts';
import { FRAME_PAYLOAD_MAX } from '../../src/limits.ts';
import { caseCount } from '../helpers/cases.ts';

const TYPES = Object.values(FRAME);
const DATA = { type: FRAME.DATA, payload: Buffer.from('abc') };

const frames = fc.array(
  fc.record({ type: fc.constantFrom(...TYPES), payload: fc.uint8Array({ maxLength: 300 }) }),
  { maxLength: 8 },
);

interface PlainFrame {
  readonly type: FrameType;
  /** Hexadecimal. */
  readonly payload: string;
}

/** Copied, because a payload lies in the chunk it came in. */
function plain({ type, payload }: { type: FrameType; payload: Uint8Array }): PlainFrame {
  return { type, payload: Buffer.from(payload).toString('hex') };
}

function encodeAll(list: readonly { type: FrameType; payload: Uint8Array }[]): Buffer {
  return Buffer.concat(list.map(({ type, payload }) => encodeFrame(type, Buffer.from(payload))));
}

/** The frames that a chunk makes whole. */
function read(reader: FrameReader, chunk: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length), (frame) => frames.push(frame));
  return frames;
}

function readAll(chunks: readonly Buffer[]): PlainFrame[] {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) => read(reader, chunk).map(plain));
}

/** `bytes` cut at these offsets, which may repeat. */
function cut(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const ends = [...offsets.map((offset) => offset % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

describe('frames', () => {
  it('are length, type and payload, the length counting the type', () => {
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
    assert.equal(text(encodeFrame(FRAME.DATA, Buffer.from('abc'))), '\0\0\0\x04\x05abc');
    assert.equal(text(encodeControl(FRAME.EOF)), '\0\0\0\x01\x07');
    assert.deepEqual([...encodeHeader(FRAME.STDIN, 65_536)], [0, 1, 0, 1, 4]);
    assert.equal(text(encodeControl(FRAME.PING, { ms: 5 }).subarray(5)), '{"ms":5}');
  });

  it('are read whole wherever a stream of them is cut in two', () => {
    const list = TYPES.map((type) => ({ type, payload: Buffer.from(`payload of ${type}`.slice(0, type)) }));
    const bytes = encodeAll(list);
    for (let at = 0; at <= bytes.length; at += 1) {
      assert.deepEqual(readAll([bytes.subarray(0, at), bytes.subarray(at)]), list.map(plain), `cut at ${at}`);
    }
  });

  it('are read whole when they come byte by byte', () => {
    const list = TYPES.map((type) => ({ type, payload: Buffer.from(`payload of ${type}`) }));
    const bytes = encodeAll(list);
    assert.deepEqual(readAll([...bytes].map((byte) => Buffer.from([byte]))), list.map(plain));
  });

  it('that are whole in a chunk are given as part of it, not copied', () => {
    // Memory of its own: small buffers share one.
    const { buffer } = new Uint8Array(encodeAll([DATA, DATA]));
    for (const { payload } of read(new FrameReader(), Buffer.from(buffer)))
      assert.equal(payload.buffer, buffer);
  });

  it('are read whole however often a stream of them is cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(4_000), { maxLength: 20 }), (list, offsets) => {
        assert.deepEqual(readAll(cut(encodeAll(list), offsets)), list.map(plain));
      }),
    );
  });

  it('keep nothing of what was read', () => {
    fc.assert(
      fc.property(frames, frames, (first, second) => {
        const reader = new FrameReader();
        assert.deepEqual(read(reader, encodeAll(first)).map(plain), first.map(plain));
        assert.deepEqual(read(reader, encodeAll(second)).map(plain), second.map(plain));
      }),
    );
  });

  it('may be as long as the limit and not a byte longer', () => {
    const longest = Buffer.alloc(FRAME_PAYLOAD_MAX, 7);
    const [frame] = read(new FrameReader(), encodeFrame(FRAME.DATA, longest));
    assert.deepEqual(frame?.payload, longest);
    const tooLong = encodeHeader(FRAME.DATA, FRAME_PAYLOAD_MAX + 1);
    assert.throws(() => read(new FrameReader(), tooLong), FrameError);
  });

  it('of an impossible length are refused as soon as the length is there', () => {
    const hostile = fc.oneof(
      fc.constant(0),
      fc.integer({ min: FRAME_PAYLOAD_MAX + 2, max: 0xffff_ffff }),
      fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
    );
    fc.assert(
      fc.property(hostile, (length) => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE(length);
        assert.throws(() => read(new FrameReader(), bytes), FrameError);
      }),
    );
  });

  it('of an unknown type are refused before their payload', () => {
    const known = new Set<number>(TYPES);
    for (let type = 0; type < 256; type += 1) {
      const push = (): Frame[] => read(new FrameReader(), Buffer.from([0, 0, 0xff, 0xff, type]));
      if (known.has(type)) assert.deepEqual(push(), []);
      else assert.throws(push, FrameError, `type ${type}`);
    }
  });

  it('before a broken one are still read', () => {
    const reader = new FrameReader();
    const seen: number[] = [];
    assert.throws(() => {
      reader.push(Buffer.concat([encodeControl(FRAME.HELLO, {}), Buffer.from([0, 0, 0, 0])]), ({ type }) =>
        seen.push(type),
      );
    }, FrameError);
    assert.deepEqual(seen, [FRAME.HELLO]);
  });

  it('made of random bytes are frames or a FrameError, never another error', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 10 }), (chunks) => {
        const reader = new FrameReader();
        try {
          for (const chunk of chunks) {
            for (const { type, payload } of read(reader, Buffer.from(chunk))) {
              assert.ok(TYPES.includes(type));
              assert.ok(payload.length <= FRAME_PAYLOAD_MAX);
            }
          }
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error));
        }
      }),
      { numRuns: caseCount(2_000) },
    );
  });
});

describe('payloads', () => {
  it('of any length are cut into parts within the limit that make up the whole', () => {
    const lengths = fc.oneof(
      fc.nat(4 * FRAME_PAYLOAD_MAX),
      fc.constantFrom(0, 1, FRAME_PAYLOAD_MAX - 1, FRAME_PAYLOAD_MAX, FRAME_PAYLOAD_MAX + 1),
    );
    fc.assert(
      fc.property(lengths, (length) => {
        const bytes = Buffer.alloc(length, 'abc');
        const parts = splitPayload(bytes);
        assert.ok(parts.every((part) => part.length > 0 && part.length <= FRAME_PAYLOAD_MAX));
        assert.deepEqual(Buffer.concat(parts), bytes);
        assert.equal(parts.length, Math.ceil(length / FRAME_PAYLOAD_MAX));
      }),
      { numRuns: caseCount(50) },
    );
  });

  it('of control frames come out as they went in', () => {
    const body = fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.integer()));
    fc.assert(
      fc.property(body, (value) => {
        const [frame] = read(new FrameReader(), encodeControl(FRAME.STATUS, value));
        assert.ok(frame);
        assert.deepEqual({ ...parseControl(frame.payload) }, JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('of control frames that are no JSON object are a FrameError', () => {
    for (const text of ['', '{', 'null', '[]', '1', '"x"', 'true', '{"a":1}x']) {
      assert.throws(() => parseControl(Buffer.from(text)), FrameError, text);
    }
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          assert.equal(typeof parseControl(Buffer.from(bytes)), 'object');
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error));
        }
      }),
    );
  });
});
