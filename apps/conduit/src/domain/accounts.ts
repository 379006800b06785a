import type { Account, ConduitUserAnswer, ConduitUserChange, Grant, Profile } from '@skerry/contracts'
import type { ApiAnswer, Visit } from '../api.ts'
import { findPeople, saveName, saveProfile } from '../data/people.ts'
import { savePicture } from '../data/pictures.ts'
import { invalid } from '../errors.ts'
import { resultOf } from './api-errors.ts'
import type { Deps } from './deps.ts'
import { pictureOf } from './picture.ts'
import { authorsFor } from './present.ts'
import { beginSession, callAs, keepEmail, type Session } from './session.ts'

export type SignUp = { username: string; email: string; password: string }

export async function signUp(deps: Deps, person: SignUp, visit: Visit): Promise<ConduitUserAnswer> {
  const { username, email, password } = person
  const body = { username, email, password }
  return welcome(deps, await deps.api<Grant>({ method: 'POST', path: '/v1/auth/signup', body }, visit), visit)
}

/** Signs in with email and password. Which of them was wrong is not said. */
export async function logIn(
  deps: Deps,
  person: { email: string; password: string },
  visit: Visit
): Promise<ConduitUserAnswer> {
  const body = { login: person.email, password: person.password }
  const answer = await deps.api<Grant>({ method: 'POST', path: '/v1/auth/login', body }, visit)
  if (answer.status === 401) throw invalid('email or password', 'is invalid')
  return welcome(deps, answer, visit)
}

/** Begins a session, and has the name and profile in the read model before anybody asks for them. */
async function welcome(deps: Deps, answer: ApiAnswer<Grant>, visit: Visit): Promise<ConduitUserAnswer> {
  const grant = resultOf(answer)
  const session = await beginSession(deps, grant)
  await keepName(deps, grant.user)
  await keepProfile(
    deps,
    resultOf(await callAs<Profile>(deps, session, { method: 'GET', path: '/v1/users/me' }, visit))
  )
  return currentUser(deps, session)
}

export async function currentUser(deps: Deps, session: Session): Promise<ConduitUserAnswer> {
  const { userId, token, email } = session
  const { username, bio, image } = (await authorsFor(deps, undefined, [userId]))(userId)
  return { user: { email, token, username, bio, image } }
}

/** Changes what differs from what is there: a settings form sends all of it. */
export async function updateUser(
  deps: Deps,
  session: Session,
  change: ConduitUserChange,
  visit: Visit
): Promise<ConduitUserAnswer> {
  const { userId } = session
  const image = change.image === undefined ? undefined : pictureOf(change.image)
  const before = (await findPeople(deps.store, [userId])).get(userId)
  const password = change.password === '' || change.password === null ? undefined : change.password
  const account = {
    ...(change.email === undefined || change.email === session.email ? {} : { email: change.email }),
    ...(change.username === undefined || change.username === before?.username ? {} : { username: change.username }),
    ...(password === undefined ? {} : { password })
  }
  let email = session.email
  if (Object.keys(account).length > 0) {
    const request = { method: 'PATCH', path: '/v1/auth/account', body: account } as const
    const changed = resultOf(await callAs<Account>(deps, session, request, visit))
    await keepName(deps, changed)
    email = changed.email
    if (email !== session.email) await keepEmail(deps, session, email)
  }
  const bio = change.bio === null ? '' : change.bio
  if (bio !== undefined && bio !== (before?.bio ?? '')) {
    const request = { method: 'PATCH', path: '/v1/users/me', body: { bio } } as const
    await keepProfile(deps, resultOf(await callAs<Profile>(deps, session, request, visit)))
  }
  if (image !== undefined) await savePicture(deps.store, userId, image)
  return currentUser(deps, { ...session, email })
}

async function keepName(deps: Deps, { id, username, version }: Account): Promise<void> {
  await saveName(deps.store, { userId: id, username, version })
}

async function keepProfile(deps: Deps, { id, username, bio, avatar, version }: Profile): Promise<void> {
  await saveProfile(deps.store, { userId: id, username, bio, avatarUrl: avatar?.url ?? null, version })
}
