import type { NatsConnection } from '@nats-io/transport-node'
import Type from 'typebox'
import type { Log } from '../metrics.ts'
import { command } from './protocol.ts'
import { type Responder, startResponder } from './responder.ts'

/** A name that is stored in a form which is not made any more. */
export type FormerName = {
  /** What it is the name of: `email`, `username`, `tag`. */
  kind: string
  stored: string
  /** The form that the same name gets today. */
  form: string
  /** What carries it as it is stored: accounts, or some of the posts. */
  ids: string[]
  /** What carries the form of today; none where nothing does. */
  holders: string[]
}

/** Some of the former names of a service; `next` is where to go on, null at the end. */
export type FormerNamesPage = { items: FormerName[]; looked: number; next: string | null }

/** Former names in one answer: what fits into a message of NATS. */
export const FORMER_NAMES_PAGE = 200

const FormerNamesRequest = Type.Object(
  { after: Type.Optional(Type.String({ maxLength: 4_000 })) },
  { additionalProperties: false }
)

/**
 * Answers operators who ask which names a service stores in a form from before (`skerry collisions`), on `ops.<service>.names.former`.
 *
 * @param page looks at some names after `next` of the page before, and finds FORMER_NAMES_PAGE at most
 */
export function answerFormerNames(
  nc: NatsConnection,
  options: { service: string; log: Log; page(after: string | undefined): Promise<FormerNamesPage> }
): Pick<Responder, 'stop'> {
  const former = command(FormerNamesRequest, ({ after }) => options.page(after))
  return startResponder(nc, { service: options.service, topic: 'names', log: options.log, commands: { former } })
}
