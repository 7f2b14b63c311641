/**
 * What a client sends, on its way to the server, as long as the client behaves. Where the server speaks first a client
 * that does not wait is no mail client: a browser sends whatever page it shows to any port of localhost, and an SMTP
 * server would take the lines of a form for commands.
 */
import { Transform, type TransformCallback } from 'node:stream';

/** The start of an HTTP request: a browser may also open a connection beforehand and talk later. */
const HTTP_REQUEST = /^[A-Za-z]+ (?:\/|\*|https?:|\S+:\d+ HTTP)/;
/** Commands begin with a letter; a TLS hello does not, and can carry lines that a web page chose. */
const COMMAND = /^[A-Za-z]/;

export interface ClientInputOptions {
  /** False: the client may say what it likes when it likes. */
  readonly serverFirst: boolean;
  /** Called once; nothing passes any more. `why` is undefined where the client left without a word. */
  readonly onMisbehaviour: (why: string | undefined) => void;
}

export class ClientInput extends Transform {
  readonly #options: ClientInputOptions;
  #greeted = false;
  #heard = false;
  #closed = false;

  constructor(options: ClientInputOptions) {
    super();
    this.#options = options;
  }

  /** The server has spoken. */
  greeted(): void {
    this.#greeted = true;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#options.serverFirst && !this.#heard) {
      this.#heard = true;
      if (!this.#greeted) this.#close('it talked before the server');
      else if (HTTP_REQUEST.test(chunk.toString('latin1'))) this.#close('it speaks HTTP');
      else if (!COMMAND.test(chunk.toString('latin1', 0, 1))) this.#close('its first line is no command');
    }
    if (this.#closed) done();
    else done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    if (this.#options.serverFirst && !this.#greeted && !this.#closed) this.#close(undefined);
    done();
  }

  #close(why: string | undefined): void {
    this.#closed = true;
    this.#options.onMisbehaviour(why);
  }
}
