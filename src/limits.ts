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

/** Of that, what a hint may take: the longest in `errors.ts` with a path of ordinary length. */
export const REFUSAL_HINT_MAX = 300;

/** The longest word that Alpine's alert page shows whole on a terminal of 80 columns; measured. */
export const ALERT_WORD_MAX = 64;

/** c-client's MAXARGV (20) leaves room for 19 words after the program's name. */
export const C_CLIENT_MAX_WORDS = 19;

/** A client's line while it is being refused; c-client's own buffer for a command is 1,024 bytes, mutt's 8 KiB. */
export const COMMAND_LINE_MAX = 64 * 1024;

/** How long a refused client may say nothing: Alpine keeps such a connection and would reuse it when it is stale. */
export const REFUSAL_WAIT_MS = 60_000;

/** How long a refused client may take to close its end: mutt writes its next command before it reads the refusal. */
export const REFUSAL_LINGER_MS = 1_000;

/** ssh-agent answers at once; a dead forwarded one does not at all. */
export const AGENT_ANSWER_MS = 3_000;

/** A server's version line and KEXINIT; OpenSSH's are about 1.2 KiB. */
export const KEXINIT_SNIFF_MAX = 16 * 1024;

/** A server's version line and what may stand before it, where it comes in pieces: a banner of a screen or two. */
export const IDENTIFICATION_MAX = 16 * 1024;

/** A remote's words in a log line or a message. */
export const LOG_SAMPLE_MAX = 200;

/** A tag and a status, at the beginning of an answer's last line. */
export const ANSWER_HEAD_MAX = 64;

/** A tag and `LOGOUT`. */
export const LOGOUT_LINE_MAX = 64;

/** How long a reader that takes nothing is waited for with a few bytes, and between two tries. */
export const WRITE_PATIENCE_MS = 5_000;
export const WRITE_RETRY_MS = 5;

/** For the last packets (signal, close, disconnect) to leave before the process ends. */
export const CLOSE_GRACE_MS = 100;

/** A shell's status for a command that a signal ended is this plus the signal's number (POSIX.1 XCU 2.8.2). */
export const SIGNAL_STATUS_BASE = 128;

/** SIGKILL's number, for signals that this system does not know. */
export const SIGNAL_UNKNOWN = 9;

/** One frame between client and broker: two SSH packets' worth, so that a copy stays in the cache. */
export const FRAME_PAYLOAD_MAX = 64 * 1024;

/** Output that may wait for the caller, beside what the session may hold; as much as a pipe of Linux holds (pipe(7)). */
export const CALLER_AHEAD = 64 * 1024;

/** STDIN that a client may have under way to the broker without its word: enough for any line, small in memory. */
export const STDIN_WINDOW = 1024 * 1024;

/** A broker that is stopped or hung does not say hello; the session then opens directly. */
export const BROKER_HELLO_MS = 1_000;

/** How long a broker's unused memory stays with it. More makes an upload no faster. */
export const BROKER_PURGE_MS = 300;

/** For a broker's answer to a call; it takes 1 ms, on a crowded machine 100. Then it is asked as usual. */
export const BROKER_TAKE_MS = 300;

/** Calls that lead to brokers; who varies his environment for each must not fill the folder. */
export const CALLS_MAX = 64;

/** From starting a broker to its socket; a loaded machine takes longer than an idle one's 30 ms. */
export const BROKER_START_MS = 2_000;

/** A broker gives up a little before its client does: it knows better why. */
export const BROKER_OPEN_MS = OPEN_DEADLINE_MS - 2_000;

/** How often a client that waits for its session asks whether the broker still runs at all. */
export const BROKER_CHECK_MS = 2_000;

/** A Unix socket's path is at most 103 bytes on macOS and the BSDs, 107 on Linux (sockaddr_un). */
export const SOCKET_PATH_MAX = 103;

/** A warm connection that may be dead is asked; longer than this it is taken for dead. */
export const PROBE_MS = 2_000;

/** A difference between the wall clock and the monotonic one that only sleep or a set clock makes. */
export const CLOCK_JUMP_MS = 2_000;

/** Servers end an idle session after 30 minutes (RFC 9051 section 5.4); a warm one is replaced well before. */
export const WARM_AGE_MS = 25 * 60_000;

/** A warm session that a server ends sooner is not replaced for a while. Servers' shortest limits are minutes. */
export const WARM_LIFE_MS = 30_000;

/** Folders opened within this time were opened at once. */
export const BURST_WINDOW_MS = 500;

/** As many imapds at most are kept warm for what is opened at once; sshd's MaxSessions is 10 for all there is. */
export const BURST_MAX = 3;

/** The next warm session is started a little later, so that it does not compete with the one just opened. */
export const WARM_REFILL_MS = 30;

/** How long an opening waits for the place of a warm session that was ended for it, before it has a connection made. */
export const ROOM_MS = 1_000;

/** After a warm session could not be had, the server is left alone for a while. */
export const WARM_PAUSE_MS = 5 * 60_000;

/** A broker whose login failed stays this long: Alpine asks four times in a row. */
export const BROKER_LINGER_MS = 5_000;

/** How often a broker looks whether its socket is still there, and its warm sessions still young. */
export const BROKER_TICK_MS = 5_000;

/** sshd drops connections at random while many are not logged in yet (MaxStartups): tried again after up to this. */
export const STARTUP_RETRY_MS = 400;

/** How often such a dropped connection is tried again. */
export const STARTUP_RETRIES = 3;

/** Between two looks whether a broker that started at the same moment has replaced a dead one's socket. */
export const STALE_LOCK_WAIT_MS = 10;

/** So many looks: it takes a few milliseconds. */
export const STALE_LOCK_TRIES = 50;

/** A payload up to this is copied behind its header; longer ones are written apart. */
export const FRAME_JOIN_MAX = 8 * 1024;

/** How long a connection counts as alive after its last bytes where SERVER_ALIVE_INTERVAL is 0. */
export const DEFAULT_FRESH_MS = 15_000;

/** An agent's list of keys; OpenSSH's own limit for a message (AGENT_MAX_LEN). */
export const AGENT_ANSWER_MAX = 256 * 1024;

/** What PASSPHRASE_COMMAND and an askpass program may take: most of what an opening may take altogether. */
export const PASSPHRASE_WAIT_MS = 45_000;

/** How often a person is asked for one passphrase, as in ssh_config(5) NumberOfPasswordPrompts. */
export const PASSPHRASE_ATTEMPTS = 3;

/** One line of a program; a passphrase is shorter, a mistaken `cat` is not. */
export const PROGRAM_LINE_MAX = 4 * 1024;

/** What is kept of a program's stderr for the log. */
export const PROGRAM_STDERR_MAX = 2_000;

/** From asking a program to end to ending it. */
export const PROGRAM_KILL_MS = 500;

/** Hosts whose working key is remembered. */
export const KEY_MEMORY_MAX = 200;

/** Gateways behind gateways; more is a mistake. */
export const GATEWAYS_MAX = 8;

/** What a server may send on one channel before it is read, as ssh's own (OpenSSH channels.h, CHAN_SES_WINDOW_DEFAULT). */
export const CHANNEL_WINDOW = 2 * 1024 * 1024;

/** Data in one packet of a channel, as ssh's own (OpenSSH channels.h, CHAN_SES_PACKET_DEFAULT). */
export const CHANNEL_PACKET_MAX = 32 * 1024;

/** Smaller packets of an upload are built in memory of their own: it comes from a pool, and copying them costs nothing. */
export const PACKET_REUSED_MIN = 4096;

/** What a line may hold that TCP does not take yet, before uploads over it wait: half of what ssh2 sends unasked. */
export const LINE_AHEAD = 1024 * 1024;

/** Read ahead of the reader; whatever it takes beyond that opens the window again. */
export const CHANNEL_READ_AHEAD = 64 * 1024;

/** ssh itself passes on no longer packet (OpenSSH packet.h, PACKET_MAX_SIZE). */
export const MUX_PACKET_MAX = 256 * 1024;

/** How often we look for ssh's control socket, should ssh not say when it is there. */
export const CONTROL_SOCKET_POLL_MS = 50;

/** The end of a name that ssh gives its control socket until it listens: a dot and 16 characters (OpenSSH mux.c). */
export const CONTROL_SOCKET_SUFFIX = 17;

/** Time for an ssh that was told to end to do so, in seconds. */
export const SSH_END_SECONDS = 1;

/** What ssh -G prints is about 4 KiB. */
export const SSH_OUTPUT_MAX = 1024 * 1024;

/** Bytes of a stream after which Bun is made to collect; it takes some 20 ms, a tenth of the time to decrypt them. */
export const COLLECT_EVERY = 128 * 1024 * 1024;

/** What is shown of one text of a server that asks a person, in characters: half a screenful. */
export const PROMPT_TEXT_MAX = 1_000;

/** Questions in one request of a server; more than a form has. With their texts they fit into a frame. */
export const PROMPT_LINES_MAX = 8;

/** How often a password or a code may be mistyped, as in ssh_config(5) NumberOfPasswordPrompts. */
export const PROMPTED_ATTEMPTS = 3;

/** Between two looks whether ssh asks a question: a person does not notice. */
export const ASKPASS_POLL_MS = 50;

/** So many looks for a program that has asked and is about to read the answer: it takes a few milliseconds. */
export const ASKPASS_POLLS = 40;

/** After so much of a message the peer must answer: an answer within MAIL_STALL_MS then means 4 KiB a second. */
export const MAIL_PROGRESS_BYTES = 256 * 1024;

/** No byte of a message went through, or no sign of life came, for so long: Alpine itself would wait for ever. */
export const MAIL_STALL_MS = 60_000;

/** A sendmail that delivers at once may be kept waiting by the next server; 5 minutes is SMTP's usual step. */
export const MAIL_ANSWER_MS = 5 * 60_000;

/** The note in a kept message's head. */
export const MAIL_NOTE_MAX = 400;

/** The head of a kept message, all its recipients included. */
export const MAIL_HEAD_MAX = 256 * 1024;

/** A message that is still being read after this long has lost its reader. */
export const MAIL_STALE_MS = 24 * 60 * 60_000;

/** Looks into the tables of sockets for one connection: they are no snapshot. */
export const PEER_LOOKS = 3;

/** Between two such looks. */
export const PEER_LOOK_WAIT_MS = 20;

/** A forwarded client may take so long to close its end once the server has closed. */
export const FORWARD_LINGER_MS = 2_000;

/** The text of a reply line of SMTP and NNTP: 512 with code, blank and CRLF (RFC 5321 4.5.3.1.5, RFC 3977 3.1). */
export const FORWARD_REPLY_MAX = 506;

/** What a running forward tells about itself; far more than it needs. */
export const FORWARD_RECORD_MAX = 64 * 1024;

/** Of a message, what is searched for the names of its reader and its subject. */
export const MAIL_HEADER_MAX = 64 * 1024;

/** Between two looks whether another process has sent what waits. */
export const QUEUE_LOCK_POLL_MS = 100;

/** A background sender that finds another one at work: that one may just be about to leave without seeing our mail. */
export const QUEUE_LEAVE_MS = 1_000;

/** Bytes that a channel's window may grow by: with ssh2's own 2 MiB it fills 1 Gbit/s at 140 ms. */
export const WINDOW_GROWN = 14 * 1024 * 1024;

/** The same for all channels of a process together: what stalled readers may hold back. */
export const WINDOW_GROWN_ALL = 56 * 1024 * 1024;

/** By how much a server may go beyond a channel's window; ssh allows a tenth of it. */
export const WINDOW_EXCESS_MAX = 200 * 1024;

/** A line shorter than this (milliseconds there and back) is filled by ssh2's own window. */
export const WINDOW_ROUND_TRIP_MS = 10;

/** Channels opened in advance: with a warm imapd enough for Alpine's three folders at once. */
export const CHANNELS_AHEAD = 2;
