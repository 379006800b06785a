import { SkerryError, type Violation } from '@skerry/contracts'
import { isDuplicate, type Store } from '@skerry/store'
import { emails, findHolder, usernames } from '../data/reservations.ts'

/** `emailKeys`: all that the address may be reserved under. */
export type Names = { emailKeys?: readonly string[] | undefined; usernameKey?: string | undefined }

/** Throws when somebody else has one of the names: so most conflicts are told before any costly work. */
export async function refuseTaken(store: Store, names: Names, userId?: string): Promise<void> {
  const [holders, username] = await Promise.all([
    Promise.all((names.emailKeys ?? []).map((key) => findHolder(store, emails, key))),
    names.usernameKey === undefined ? undefined : findHolder(store, usernames, names.usernameKey)
  ])
  const taken: Violation[] = []
  if (holders.some((holder) => holder !== undefined && holder !== userId)) taken.push(violation('email'))
  if (username !== undefined && username !== userId) taken.push(violation('username'))
  if (taken.length > 0) throw conflict(taken)
}

/** What a reservation that failed means: of two who want a name at the same time, the second one gets this. */
export function toConflict(error: unknown): unknown {
  if (isDuplicate(error, emails.name)) return conflict([violation('email')])
  if (isDuplicate(error, usernames.name)) return conflict([violation('username')])
  return error
}

function violation(field: 'email' | 'username'): Violation {
  return { path: `body.${field}`, code: 'taken', message: 'is taken' }
}

function conflict(errors: Violation[]): SkerryError {
  const email = errors[0]?.path === 'body.email'
  return new SkerryError(email ? 'AUTH_EMAIL_TAKEN' : 'AUTH_USERNAME_TAKEN', { errors })
}
