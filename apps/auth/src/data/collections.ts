import { accounts } from './accounts.ts'
import { deletions } from './deletions.ts'
import { exportParts, exports } from './exports.ts'
import { participants } from './participants.ts'
import { emails, usernames } from './reservations.ts'
import { sessions } from './sessions.ts'

/** All that auth stores, beside what events and idempotency need. */
export const authCollections = [accounts, emails, usernames, sessions, participants, deletions, exports, exportParts]
