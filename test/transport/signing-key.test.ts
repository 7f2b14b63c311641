/** Keys that an agent holds, as a login offers them: which can be offered at all, and what they sign with. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import ssh2 from 'ssh2';
import type { AgentKey } from '../../src/transport/agent.ts';
import { Attempt } from '../../src/transport/attempt.ts';
import { agentIdentity, type Identity, lockedIdentity, openIdentity } from '../../src/transport/signing-key.ts';
import { encodeStrings } from '../../src/transport/ssh-wire.ts';
