/**
 * Every bound of time and size, with its reason. Times are milliseconds, sizes bytes, unless the name says
 * otherwise. What a user may change is an alias key instead (`alias/keys.ts`), whose default stands there.
 */

/** Everything before the greeting together: Alpine offers to break the connection after 60 s (tcp-query-timeout). */
export const OPEN_DEADLINE_MS = 50_000;

/** The lone `*` goes out after this: Alpine's rsh-open-timeout may be as short as 5 s (c-client tcp_unix.c). */
export const EARLY_BYTE_MS = 3_000;

/** Noise before the greeting that is kept out; more than this is a failure. */
export const GREETING_NOISE_MAX = 64 * 1024;

/** c-client reads the greeting into 1,024 bytes with CRLF and NUL; other clients are no better. */
export const GREETING_LINE_MAX = 1_000;

/** How long a remote command may make no progress after it saw EOF in a mail stream. */
export const AFTER_EOF_MS = 10_000;

/** How long a network timeout is remembered: one Save in Alpine starts us four times in three seconds. */
export const TIMEOUT_MEMORY_MS = 5_000;

/** An alias file is a few lines; more is a mistake (a mailbox, a core dump) and is not read. */
export const ALIAS_FILE_MAX = 64 * 1024;

/** A known_hosts file of a large site; 10,000 lines are about 4 MiB. */
export const KNOWN_HOSTS_FILE_MAX = 64 * 1024 * 1024;

/** The largest RSA keys are about 13 KiB. */
export const IDENTITY_FILE_MAX = 64 * 1024;

/** A host or user name becomes a file name (NAME_MAX is 255, and `USER@HOST.env` holds both). */
export const NAME_MAX = 120;

/** One log file; the one before is kept as `log.1`. */
export const LOG_FILE_MAX = 1024 * 1024;

/** One logged value: a remote cannot fill the log with a single line. */
export const LOG_VALUE_MAX = 2_000;

/** One reason shown in IMAP: alert, NO and BYE must each stay below c-client's 1,024-byte line. */
export const REFUSAL_TEXT_MAX = 700;

/** c-client's MAXARGV (20) leaves room for 19 words after the program's name. */
export const C_CLIENT_MAX_WORDS = 19;

/** A client's line while it is being refused; c-client's own buffer for a command is 1,024 bytes, mutt's 8 KiB. */
export const COMMAND_LINE_MAX = 64 * 1024;

/** How long a refused client may say nothing: Alpine keeps such a connection and would reuse it when it is stale. */
export const REFUSAL_WAIT_MS = 60_000;

/** ssh-agent answers at once; a dead forwarded one does not at all. */
export const AGENT_ANSWER_MS = 3_000;

/** A server's version line and KEXINIT; OpenSSH's are about 1.2 KiB. */
export const KEXINIT_SNIFF_MAX = 16 * 1024;

/** A remote's words in a log line or a message. */
export const LOG_SAMPLE_MAX = 200;

/** A tag and `LOGOUT`. */
export const LOGOUT_LINE_MAX = 64;

/** For the last packets (signal, close, disconnect) to leave before the process ends. */
export const CLOSE_GRACE_MS = 100;

/** A shell's status for a command that a signal ended is this plus the signal's number (POSIX.1 XCU 2.8.2). */
export const SIGNAL_STATUS_BASE = 128;

/** SIGKILL's number, for signals that this system does not know. */
export const SIGNAL_UNKNOWN = 9;

/** One frame between client and broker: two SSH packets' worth, so that a copy stays in the cache. */
export const FRAME_PAYLOAD_MAX = 64 * 1024;
