import type { ErrorCode } from '@skerry/contracts'
import type { ApiAnswer } from '../api.ts'
import { ConduitError, invalid, notFound, notYours, unauthorized, unavailable } from '../errors.ts'

/** The API's names of members that a front end knows by others. */
const NAMES: Readonly<Record<string, string>> = { summary: 'description', text: 'body', tags: 'tagList', id: 'id' }

const TAKEN = 'has already been taken'
const SIGN_IN = 'can only be changed within 10 minutes of signing in: sign out and in again'

const BY_CODE: Partial<Record<ErrorCode, () => ConduitError>> = {
  AUTH_EMAIL_TAKEN: () => invalid('email', TAKEN),
  AUTH_USERNAME_TAKEN: () => invalid('username', TAKEN),
  AUTH_REAUTHENTICATION_NEEDED: () => invalid('email, username and password', SIGN_IN),
  CNT_POST_NOT_FOUND: () => notFound('article'),
  CNT_COMMENT_NOT_FOUND: () => notFound('comment'),
  USR_NOT_FOUND: () => notFound('profile'),
  USR_SELF_FOLLOW: () => invalid('username', 'is your own')
}

/** What an answer brings; what the API refused is said as RealWorld says it. `what` names the resource for 403. */
export function resultOf<T>({ status, body, problem }: ApiAnswer<T>, what = 'resource'): T {
  if (problem === undefined) return body
  const known = BY_CODE[problem.code as ErrorCode]
  if (known !== undefined) throw known()
  if (status === 401) throw unauthorized()
  if (status === 403) throw notYours(what)
  if (status === 404) throw notFound(what)
  if (status !== 400) throw unavailable(new Error(`the API answered ${status} ${problem.code}`))
  const violations = problem.errors ?? [{ path: 'body', message: problem.title }]
  const errors = Object.groupBy(violations, ({ path }) => fieldOf(path))
  throw new ConduitError(422, messagesOf(errors))
}

const messageOf = ({ code, message }: { code?: string; message: string }) =>
  code === 'blank' ? "can't be blank" : message

function messagesOf(fields: Partial<Record<string, { code?: string; message: string }[]>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(fields).map(([name, found = []]) => [name, found.map(messageOf)]))
}

/** `body.tags.2` is `tagList`. */
function fieldOf(path: string): string {
  const name = path.split('.')[1] ?? path
  return NAMES[name] ?? name
}
