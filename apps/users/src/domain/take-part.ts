import { ProfileCreated, ProfileUpdated, UsersExportPart } from '@skerry/contracts'
import { type ExportItem, eraseEvents, type Part, pageByPage } from '@skerry/events'
import { timeOf } from '@skerry/store'
import { findEdges } from '../data/follows.ts'
import { findProfile } from '../data/profiles.ts'
import { removePerson } from './delete-profile.ts'
import type { Deps } from './deps.ts'
import { presentProfile } from './present.ts'

const PAGE = 500

/** What users does when somebody's account ends or is exported. */
export function usersPart(deps: Deps): Part {
  return {
    store: deps.store,
    service: 'users',
    async erase(userId) {
      const removed = await removePerson(deps, userId, {})
      await eraseEvents(deps.store, [ProfileCreated, ProfileUpdated, UsersExportPart], [userId])
      return removed
    },
    exportItems: (userId) => exportItems(deps, userId)
  }
}

async function* exportItems({ store }: Deps, userId: string): AsyncGenerator<ExportItem> {
  const profile = await findProfile(store, userId)
  if (profile !== null) yield { section: 'profile', item: presentProfile(profile) }
  for (const side of ['following', 'followers'] as const) {
    const edges = pageByPage(
      (before: string | undefined, limit) => findEdges(store, side, userId, before, limit),
      ({ edge }) => edge,
      PAGE
    )
    for await (const { otherId, edge } of edges)
      yield { section: side, item: { userId: otherId, since: new Date(timeOf(edge)).toISOString() } }
  }
}
