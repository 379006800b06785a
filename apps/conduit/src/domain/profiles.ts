import type { ConduitProfile } from '@skerry/contracts'
import type { Visit } from '../api.ts'
import { findPerson, type PersonDocument } from '../data/people.ts'
import { follows } from '../data/relations.ts'
import { notFound } from '../errors.ts'
import type { Deps } from './deps.ts'
import { authorsFor, type Viewer } from './present.ts'
import { setRelation } from './relate.ts'
import type { Session } from './session.ts'

type ProfileAnswer = { profile: ConduitProfile }

export async function readProfile(deps: Deps, viewer: Viewer, username: string): Promise<ProfileAnswer> {
  const person = await requirePerson(deps, username)
  return { profile: (await authorsFor(deps, viewer, [person._id]))(person._id) }
}

/** Follows somebody or stops; doing so twice is doing so once. */
export async function setFollowing(
  deps: Deps,
  session: Session,
  { username, on }: { username: string; on: boolean },
  visit: Visit
): Promise<ProfileAnswer> {
  const person = await requirePerson(deps, username)
  const edge = { from: session.userId, to: person._id }
  await setRelation(deps, session, { kind: follows, edge, on, path: `/v1/users/${person._id}/follow` }, visit)
  return { profile: (await authorsFor(deps, session, [person._id]))(person._id) }
}

async function requirePerson({ store }: Deps, username: string): Promise<PersonDocument> {
  const person = await findPerson(store, username)
  if (person === undefined) throw notFound('profile')
  return person
}
