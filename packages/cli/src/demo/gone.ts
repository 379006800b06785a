import { SkerryApiError } from '@skerry/sdk'
import { type Accounts, isCode } from './accounts.ts'
import type { Journal } from './journal.ts'
import type { Plan } from './plan.ts'
import type { Progress } from './progress.ts'

const SAMPLES = 3

/** A journal tells of one data set: where its users or its posts are not to be found, it begins anew. */
export async function forgetWhatIsGone(
  plan: Plan,
  journal: Journal,
  accounts: Accounts,
  progress: Progress,
  signal: AbortSignal
): Promise<void> {
  const user = plan.users.find((u) => journal.users.has(u.key))
  if (user === undefined) return
  if ((await accounts.stillThere(user)) && (await postsAreThere(plan, journal, accounts, signal))) return
  progress.line('The demo data that was loaded before is not there any more: loading it anew.')
  journal.restart()
}

/** Somebody may have deleted one post; that all of the samples are gone means more. */
async function postsAreThere(plan: Plan, journal: Journal, accounts: Accounts, signal: AbortSignal): Promise<boolean> {
  const loaded = plan.posts.filter((post) => journal.done.has(post.key) && journal.users.has(post.user))
  const samples = loaded.filter((_, i) => i % Math.max(1, Math.floor(loaded.length / SAMPLES)) === 0).slice(0, SAMPLES)
  for (const { key, user } of samples) {
    try {
      await accounts.as(user, (client) => client.posts.get(journal.done.get(key) ?? '', { signal, fields: ['id'] }))
      return true
    } catch (error) {
      if (isCode(error, 'AUTH_BAD_CREDENTIALS')) return false
      if (!(error instanceof SkerryApiError) || error.status !== 404) throw error
    }
  }
  return samples.length === 0
}
