/** Pieces of packets leave in one write, whole and in order. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { joinWrites } from '../../src/transport/joined-writes.ts';

/** Takes each write after a while, as a socket does whose other end is slow. */
function openSlowStream(): { stream: Writable; writes: Buffer[] } {
  const writes: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      setImmediate(() => {
        writes.push(Buffer.from(chunk));
        done();
      });
    },
  });
  joinWrites(stream);
  return { stream, writes };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('Joined writes', () => {
  it('make one of all that are written in one turn', async () => {
    const { stream, writes } = openSlowStream();
    for (const piece of ['abcd', 'body', 'tag']) stream.write(Buffer.from(piece));
    await turn();
    for (const piece of ['efgh', 'next']) stream.write(Buffer.from(piece));
    stream.end();
    await once(stream, 'finish');
    assert.deepEqual(writes.map(String), ['abcdbodytag', 'efghnext']);
  });

  it('take bytes that are no Buffer, as some ciphers give them', async () => {
    const { stream, writes } = openSlowStream();
    stream.write(Buffer.from('body'));
    stream.write(new Uint8Array([0x74, 0x61, 0x67]));
    stream.end();
    await once(stream, 'finish');
    assert.deepEqual(writes.map(String), ['bodytag']);
  });

  it('lose and move no byte, whatever the sizes and however slow the other end', async () => {
    const { stream, writes } = openSlowStream();
    const written: Buffer[] = [];
    const sizes = [0, 1, 4, 16, 32_784, 32_784, 66_000, 66_560, 66_561, 70_000, 200_000, 5, 40_000, 30_000];
    for (let round = 0; round < 20; round += 1) {
      for (const size of sizes.slice(round % sizes.length)) {
        const bytes = randomBytes(size);
        written.push(Buffer.from(bytes));
        stream.write(bytes);
        // The caller may use its memory again at once.
        bytes.fill(0);
      }
      if (round % 3 === 0) await turn();
    }
    stream.end();
    await once(stream, 'finish');
    assert.ok(Buffer.concat(writes).equals(Buffer.concat(written)));
  });

  it('go out before the end, and nowhere after the stream was destroyed', async () => {
    const ended = openSlowStream();
    ended.stream.write(Buffer.from('last words'));
    ended.stream.end();
    await once(ended.stream, 'finish');
    assert.deepEqual(ended.writes.map(String), ['last words']);

    const destroyed = openSlowStream();
    destroyed.stream.on('error', assert.fail);
    destroyed.stream.write(Buffer.from('lost'));
    destroyed.stream.destroy();
    await turn();
    assert.deepEqual(destroyed.writes, []);
  });
});
