import type { Document } from 'mongodb'
import { collectionOf, defineCollection } from './collection.ts'
import type { Store } from './store.ts'
import { isDuplicate } from './transaction.ts'

type RolesDocument = {
  _id: string
  /** Who is there, each until then unless it says so again, and in what it takes a share. */
  members: { id: string; until: Date; shares?: string[] }[]
  /** Whose a role is. A role whose owner is no member is nobody's. */
  owners: { role: string; owner: string }[]
}

/**
 * One document a service: which members (instances) live, and which of them has each role, such as its relay. One renewal of a member renews
 * all that it has, so what stands still costs a service one small write a member now and then, however many roles there are.
 */
export const leases = defineCollection<RolesDocument>({ name: 'leases', shardKey: null, indexes: [] })

const ID = 'roles'
/** A renewal that comes late is worth something, too: a lease of tests may be shorter than a busy disk takes. */
const LEAST_LIMIT_MS = 5_000

/** How things are now, by the database's clock. */
export type RolesNow = {
  /** Every role that somebody has. */
  owners: ReadonlyMap<string, string>
  /** Who lives, and in what each takes a share. */
  members: ReadonlyMap<string, ReadonlySet<string>>
}

/** How things are after a renewal. */
export type Roles = RolesNow & {
  /** What the member has of what it wants. */
  mine: ReadonlySet<string>
}

type RenewOptions = { member: string; wants: readonly string[]; shares?: readonly string[]; ttlMs: number }

/**
 * Says that a member lives for another `ttlMs`, and takes what it wants of the roles that nobody has. What it has and wants no more is
 * given up; what dead members had is free. The database's clock decides, so that the instances' clocks need not agree.
 *
 * @param shares in what the member takes a share: others tell from it what they leave to it
 */
export async function renewRoles(store: Store, { member, wants, shares = [], ttlMs }: RenewOptions): Promise<Roles> {
  const update = renewal({ member, wants, shares, ttlMs })
  const options = { returnDocument: 'after', upsert: true, maxTimeMS: Math.max(ttlMs, LEAST_LIMIT_MS) } as const
  const documents = collectionOf(store.db, leases)
  let found: RolesDocument | null
  try {
    found = await documents.findOneAndUpdate({ _id: ID }, update, options)
  } catch (error) {
    // Two that were the first at the same time.
    if (!isDuplicate(error)) throw error
    found = await documents.findOneAndUpdate({ _id: ID }, update, options)
  }
  const now = nowOf(found)
  return { ...now, mine: new Set(wants.filter((role) => now.owners.get(role) === member)) }
}

function nowOf(found: Pick<RolesDocument, 'members' | 'owners'> | null): RolesNow {
  return {
    owners: new Map(found?.owners.map(({ role, owner }) => [role, owner])),
    members: new Map(found?.members.map(({ id, shares }) => [id, new Set(shares)]))
  }
}

/** Takes a member off, with all that it has. */
export async function leaveRoles(store: Store, member: string): Promise<void> {
  await collectionOf(store.db, leases).updateOne(
    { _id: ID },
    {
      $pull: { members: { id: member }, owners: { owner: member } }
    }
  )
}

/** Who lives now, and who has each role. Costs a read, and no write. */
export async function readRoles(store: Store): Promise<RolesNow> {
  const members = alive('$members')
  const owners = { $filter: { input: '$owners', as: 'one', cond: { $in: ['$$one.owner', idsOf(alive('$members'))] } } }
  const found = await collectionOf(store.db, leases).findOne({ _id: ID }, { projection: { owners, members } })
  return nowOf(found)
}

/**
 * Whether a lease of a release before this one lasts, which had a document for each role: its owner works until it is gone, so that the
 * two do not work at once while a deployment goes on. What has run out is deleted.
 */
export async function earlierLeases(store: Store): Promise<boolean> {
  const documents = store.db.collection<{ _id: string; until?: Date }>(leases.name)
  const over = { $lte: ['$until', '$$NOW'] }
  await documents.deleteMany({ _id: { $ne: ID }, $expr: over })
  return (await documents.findOne({ _id: { $ne: ID } })) !== null
}

function renewal({ member, wants, shares, ttlMs }: Required<RenewOptions>): Document[] {
  const id = { $literal: member }
  const own = { id, until: { $add: ['$$NOW', ttlMs] }, shares: { $literal: [...shares] } }
  const wanted = { $literal: [...wants] }
  const others = { $filter: { input: alive('$members'), as: 'one', cond: { $ne: ['$$one.id', id] } } }
  const kept = {
    $filter: {
      input: { $ifNull: ['$owners', []] },
      as: 'one',
      cond: {
        $and: [
          { $in: ['$$one.owner', idsOf('$members')] },
          { $or: [{ $ne: ['$$one.owner', id] }, { $in: ['$$one.role', wanted] }] }
        ]
      }
    }
  }
  const taken = {
    $map: { input: { $setDifference: [wanted, '$owners.role'] }, as: 'role', in: { role: '$$role', owner: id } }
  }
  return [
    { $set: { members: { $concatArrays: [others, [own]] } } },
    { $set: { owners: kept } },
    { $set: { owners: { $concatArrays: ['$owners', taken] } } }
  ]
}

function alive(members: string): Document {
  return { $filter: { input: { $ifNull: [members, []] }, as: 'member', cond: { $gt: ['$$member.until', '$$NOW'] } } }
}

function idsOf(members: Document | string): Document {
  return { $map: { input: members, as: 'member', in: '$$member.id' } }
}
