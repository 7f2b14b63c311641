import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeFrame, encodeMessage, FrameReader, MESSAGE } from '../../src/transport/openssh-packet.ts';
import { WireReader } from '../../src/transport/ssh-wire.ts';

describe('the messages to a master of the system ssh', () => {
  const frames = [
    encodeFrame(1, 4),
    encodeFrame(),
    encodeMessage(MESSAGE.CHANNEL_OPEN, 'session', 7, 0xffffffff, 1),
    encodeMessage(MESSAGE.CHANNEL_REQUEST, 7, 'exec', true, 'gr\u00fc\u00df'),
  ];
  const bodies = frames.map((frame) => frame.subarray(4));

  it('are put together again wherever their bytes were cut', () => {
    const all = Buffer.concat(frames);
    for (let cut = 0; cut <= all.length; cut += 1) {
      const reader = new FrameReader();
      const read = [all.subarray(0, cut), all.subarray(cut)].flatMap((part) => [...reader.push(part)]);
      assert.deepEqual(read, bodies);
    }
    const reader = new FrameReader();
    assert.deepEqual(
      [...all].flatMap((byte) => [...reader.push(Buffer.of(byte))]),
      bodies,
    );
  });

  it('are not read on when one is longer than ssh would ever send', () => {
    const reader = new FrameReader();
    assert.throws(() => [...reader.push(Buffer.from('SSH-2.0-what'))], { code: 'ssh-unusable' });
  });

  it('say what was put in', () => {
    const fields = new WireReader(bodies[3] as Buffer);
    assert.deepEqual([...fields.bytes(2)], [0, MESSAGE.CHANNEL_REQUEST]);
    assert.equal(fields.uint32(), 7);
    assert.equal(fields.text(), 'exec');
    assert.deepEqual([...fields.bytes(1)], [1]);
    assert.equal(fields.string().toString(), 'gr\u00fc\u00df');
    assert.throws(() => fields.bytes(1), RangeError);
  });
});
