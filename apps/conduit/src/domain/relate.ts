import type { Visit } from '../api.ts'
import type { Edge, Relations } from '../data/relations.ts'
import { resultOf } from './api-errors.ts'
import type { Deps } from './deps.ts'
import { apply, applyRelationAnswer, newsOf } from './model.ts'
import { callAs, type Session } from './session.ts'

/** Makes a relation hold or not, in Skerry and then in the read model. `path` is where the API has it. */
export async function setRelation(
  deps: Deps,
  session: Session,
  relation: { kind: Relations; edge: Edge; on: boolean; path: string },
  visit: Visit
): Promise<void> {
  const { store } = deps
  const { kind, edge, on, path } = relation
  const news = await newsOf(store, kind, edge)
  resultOf(await callAs(deps, session, { method: on ? 'PUT' : 'DELETE', path }, visit))
  await apply(store, visit.call, (tx) => applyRelationAnswer(store, kind, tx, edge, on, news))
}
