/** Asks a broker for a connection that stays, and passes on the questions it has for a person; for pine-rshctl. */
import { BROKER_HELLO_MS } from '../limits.ts';
import type { Prompt, PromptRequest } from '../transport/prompt.ts';
import { BrokerUseless, decodeFailure } from './client.ts';
import { FRAME, type Frame, type FrameType, PROTOCOL_VERSION, parseControl } from './frame.ts';
import type { FrameHandler, FrameSocket } from './frame-socket.ts';
import { connectFrames } from './socket-path.ts';

/**
 * Has the broker at `path` log in (PROTOCOL.md, section 2.9); undefined if no broker listens there.
 *
 * @returns `existed`: it had a connection that lives
 * @throws {Failure} why there is no connection
 * @throws {BrokerUseless} if that cannot be said; whatever `prompt` throws
 */
export async function connectThroughBroker(
  path: string,
  uid: number,
  prompt: Prompt,
  signal: AbortSignal,
): Promise<{ readonly existed: boolean } | undefined> {
  const conversation = new Conversation(prompt);
  let frames: FrameSocket | undefined;
  try {
    frames = await connectFrames(path, uid, conversation);
  } catch (cause) {
    throw new BrokerUseless('the socket cannot be used', { cause });
  }
  return frames && (await conversation.hold(frames, signal));
}

class Conversation implements FrameHandler {
  readonly #prompt: Prompt;
  #frames: FrameSocket | undefined;
  #resolve: (answer: { readonly existed: boolean }) => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  #silence: NodeJS.Timeout | undefined;

  constructor(prompt: Prompt) {
    this.#prompt = prompt;
  }

  async hold(frames: FrameSocket, signal: AbortSignal): Promise<{ readonly existed: boolean }> {
    this.#frames = frames;
    const onAbort = (): void => this.#reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        if (signal.aborted) onAbort();
        // After its hello it is the person who decides how long to wait.
        this.#silence = setTimeout(
          () => reject(new BrokerUseless('the broker does not answer')),
          BROKER_HELLO_MS,
        );
        frames.controls([FRAME.HELLO, { version: PROTOCOL_VERSION }], [FRAME.CONNECT, {}]);
      });
    } finally {
      clearTimeout(this.#silence);
      signal.removeEventListener('abort', onAbort);
      frames.destroy();
    }
  }

  onFrame({ type, payload }: Frame): void {
    clearTimeout(this.#silence);
    this.#onControl(type, parseControl(payload));
  }

  onClose(): void {
    this.#reject(new BrokerUseless('the broker closed the connection'));
  }

  #onControl(type: FrameType, body: Readonly<Record<string, unknown>>): void {
    if (type === FRAME.HELLO && body['version'] !== PROTOCOL_VERSION) {
      this.#reject(new BrokerUseless('the broker speaks another version'));
    } else if (type === FRAME.FAIL) {
      this.#reject(decodeFailure(body) ?? new BrokerUseless('the broker failed'));
    } else if (type === FRAME.CONNECTED) this.#resolve({ existed: body['existed'] === true });
    // Made by our own build: the socket's name has its hash.
    else if (type === FRAME.PROMPT) void this.#ask(body as unknown as PromptRequest);
  }

  async #ask(request: PromptRequest): Promise<void> {
    try {
      const answers = await this.#prompt(request);
      this.#frames?.control(FRAME.ANSWER, { answers: answers ?? null });
    } catch (error) {
      this.#reject(error);
    }
  }
}
