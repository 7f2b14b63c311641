/**
 * Bounds of the commands for people.
 */

/** Alpine's own default for rsh-open-timeout. */
export const RSH_OPEN_MS = 15_000;

/** How long the demo waits for the answer to one IMAP command. */
export const ANSWER_MS = 10_000;

/** How long Dovecot's imap may take to greet and log out before the demo does without it. */
export const DOVECOT_PROBE_MS = 5_000;

/** How often `log -f` looks for new lines: soon enough for a person, rare enough for a battery. */
export const LOG_POLL_MS = 250;

/** How many lines `log` shows unless told otherwise: a terminal's worth. */
export const LOG_LINES = 20;

/** A terminal narrower than this is not laid out for; lines may then be cut by the terminal. */
export const COLUMNS_MIN = 20;

/** Running text reads badly beyond this, however wide the terminal is. */
export const COLUMNS_MAX = 100;

/** What a program gets that writes to a file or a pipe. */
export const COLUMNS_DEFAULT = 80;

/** How long the demo waits for a warm imapd before it opens the mailbox again. */
export const BROKER_WARM_MS = 2_000;

/** How long a broker that was told to end may take. */
export const BROKER_END_MS = 2_000;

/** How often the demo looks whether a broker is ready or gone. */
export const BROKER_POLL_MS = 20;

/** How long `doctor` waits for the resolver; Alpine would wait as long as it takes. */
export const RESOLVE_MS = 5_000;

/** What is shown of what came before a greeting, in characters: a few lines. */
export const NOISE_SHOWN_MAX = 300;

/** What a question to a mail host may take, such as where its imapd is. */
export const REMOTE_ANSWER_MS = 5_000;

/** And what its answer may be long, with all that login scripts print before it. */
export const REMOTE_ANSWER_MAX = 64 * 1024;

/** The least that Alpine takes for rsh-open-timeout, in seconds. */
export const RSH_OPEN_MIN_SECONDS = 5;

/** So much of a message is read at once when it is shown. */
export const MAIL_PIECE = 64 * 1024;

/** How long `queue flush` waits for another process that sends the same mail. */
export const QUEUE_WAIT_MS = 10_000;
