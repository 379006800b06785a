import type { Store, Tx } from '@skerry/store'
import { email, emailForms, emailKey, isFault, loginKey, tidy, usernameKey, withNfc } from '@skerry/text'
import { emails, findHolder, release, reserve, usernames } from '../data/reservations.ts'

export { emailForms, emailKey, usernameKey } from '@skerry/text'

/** A body with its email address and username as `@skerry/text` keeps them, and its display name in NFC. What is none stays as it is, for the contract's check to refuse. */
export function withTidyNames(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
  const { email: address, username } = body as { email?: unknown; username?: unknown }
  const kept = typeof address === 'string' ? email(address) : undefined
  return {
    ...(withNfc(body, ['displayName']) as object),
    ...(kept === undefined || isFault(kept) ? {} : { email: kept }),
    ...(typeof username === 'string' ? { username: tidy(username) } : {})
  }
}

export type Login = { key: string; userId: string | undefined }

/**
 * Whose login it is, and what its attempts are counted by. Accounts from before are found by their former keys: where two are one by now, each
 * still gets in with what it was made with. As many reads whether anybody has it or not.
 */
export async function findLogin(store: Store, login: string): Promise<Login> {
  const { kind, key } = loginKey(login)
  if (kind === 'username') return { key, userId: await findHolder(store, usernames, key) }
  const holders = await Promise.all(emailForms(login).map((form) => findHolder(store, emails, form)))
  return { key, userId: holders.find((id) => id !== undefined) }
}

/** Reserves an account's address in place of the one before, which may be the same by its key and reserved under a former one. */
export async function moveEmail(store: Store, tx: Tx, userId: string, from: string, to: string): Promise<void> {
  const key = emailKey(to)
  if ((await findHolder(store, emails, key, tx)) !== userId) await reserve(store, tx, emails, key, userId)
  for (const former of new Set([...emailForms(from), ...emailForms(to)]))
    if (former !== key) await release(store, tx, emails, former, userId)
}

/** Frees what an account is signed in to with. */
export async function releaseNames(
  store: Store,
  tx: Tx,
  account: { _id: string; email: string; username: string }
): Promise<void> {
  for (const key of emailForms(account.email)) await release(store, tx, emails, key, account._id)
  await release(store, tx, usernames, usernameKey(account.username), account._id)
}
