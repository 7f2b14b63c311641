/** When frames go out, and how many together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { encodeControl, FRAME } from '../../src/broker/frame.ts';
import { FrameSocket } from '../../src/broker/frame-socket.ts';

/** A socket whose writes are kept. */
function openSocket() {
  const writes: Buffer[] = [];
  let ended = false;
  const frames = FrameSocket.accept(
    () => ({
      write: (bytes) => {
        assert.equal(ended, false);
        writes.push(Buffer.from(bytes));
        return true;
      },
      pause: () => {},
      resume: () => {},
      end: () => {
        ended = true;
      },
      destroy: () => {},
    }),
    { onFrame: () => {}, onClose: () => {} },
  );
  return { frames, writes };
}

const HELLO = encodeControl(FRAME.HELLO, { version: 1 });
const PONG = encodeControl(FRAME.PONG, { alive: true });

test('a frame that may wait goes out with the next one', async () => {
  const { frames, writes } = openSocket();
  frames.controlSoon(FRAME.HELLO, { version: 1 });
  assert.deepEqual(writes, []);
  frames.control(FRAME.PONG, { alive: true });
  assert.deepEqual(writes, [Buffer.concat([HELLO, PONG])]);
  await setImmediate();
  assert.equal(writes.length, 1);
});

test('a frame that may wait goes out by itself where nothing follows at once', async () => {
  const { frames, writes } = openSocket();
  frames.controlSoon(FRAME.HELLO, { version: 1 });
  await setImmediate();
  assert.deepEqual(writes, [Buffer.from(HELLO)]);
  frames.control(FRAME.PONG, { alive: true });
  assert.deepEqual(writes, [Buffer.from(HELLO), Buffer.from(PONG)]);
});

test('a frame that may wait goes out before the end', () => {
  const { frames, writes } = openSocket();
  frames.controlSoon(FRAME.HELLO, { version: 1 });
  frames.end();
  assert.deepEqual(writes, [Buffer.from(HELLO)]);
});

test('frames that are given together go out in one write', () => {
  const { frames, writes } = openSocket();
  frames.controls([FRAME.HELLO, { version: 1 }], [FRAME.PONG, { alive: true }]);
  assert.deepEqual(writes, [Buffer.concat([HELLO, PONG])]);
});
