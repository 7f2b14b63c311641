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
