import Type, { type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

/** What an operator's request could not be done for: told as it is. */
export class OperatorError extends Error {
  readonly code: 'BAD_REQUEST' | 'NOT_FOUND' | 'BUSY' | 'REFUSED' | 'PARTIAL' | 'UNAVAILABLE'
  constructor(code: OperatorError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** The answer to a request, as JSON. */
export type OperatorAnswer = { ok: true; value: unknown } | { ok: false; code: OperatorError['code']; message: string }

const By = Type.String({ minLength: 1, maxLength: 200 })
const Sequence = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const Token = Type.String({ pattern: '^[a-zA-Z0-9_-]{1,100}$' })
const exact = { additionalProperties: false } as const

export const StatusRequest = Type.Object({}, exact)
export const OperationRequest = Type.Object({ id: Token }, exact)
export const AuditRequest = Type.Object(
  {
    before: Type.Optional(Token),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 50 })),
    letter: Type.Optional(Sequence)
  },
  exact
)
/** `data`: the payload to use instead of the letter's, as JSON text. */
export const RetryRequest = Type.Object(
  { by: By, letter: Sequence, data: Type.Optional(Type.String({ maxLength: 900_000 })) },
  exact
)
export const DiscardRequest = Type.Object({ by: By, letter: Sequence }, exact)
export const ReplayRequest = Type.Object(
  { by: By, stream: Token, from: Sequence, force: Type.Optional(Type.Boolean()) },
  exact
)
export const ModelRequest = Type.Object({ by: By }, exact)
/** `stay`: do not switch by yourself. `partial`: accept streams that do not reach back to the beginning. */
export const RebuildRequest = Type.Object(
  { by: By, stay: Type.Optional(Type.Boolean()), partial: Type.Optional(Type.Boolean()) },
  exact
)
/** `force`: switch although there are dead letters. */
export const SwitchRequest = Type.Object({ by: By, force: Type.Optional(Type.Boolean()) }, exact)

export type Commands = Readonly<Record<string, (request: unknown) => Promise<unknown>>>

/** A command that gets only requests which fit its schema. */
export function command<S extends TSchema>(schema: S, run: (request: Static<S>) => Promise<unknown>): Commands[string] {
  const validator = Compile(schema)
  return async (request) => {
    if (!validator.Check(request)) {
      const first = validator.Errors(request)[0]
      throw new OperatorError(
        'BAD_REQUEST',
        `${first?.instancePath || 'the request'} ${first?.message ?? 'does not fit'}`
      )
    }
    return run(request as Static<S>)
  }
}

/** How one consumer is on one stream, or in one of its partitions, as its service sees it. */
export type ConsumerPart = {
  stream: string
  /** Null where the stream has no several. */
  partition: number | null
  /** The instance that works; null while nobody has the lease. */
  owner: string | null
  replay: { from: number; until: number; floor: number; operation: string } | null
}

export type ConsumerStatus = { consumer: string; replays: string; parts: ConsumerPart[] }

export type OutboxStatus = { pending: number; oldest: string | null; owner: string | null }

/** An operation as operators see it: payloads cut to a few thousand characters. */
export type OperationView = {
  id: string
  consumer: string
  kind: string
  target: string
  by: string
  at: string
  state: 'pending' | 'done' | 'failed'
  before: string | null
  after: string | null
  outcome: string | null
  finishedAt: string | null
  replay?: ConsumerPart['replay']
}

/** A read model and its generations. */
export type ModelStatus = {
  consumer: string
  current: number
  /** The one that is being built, and what keeps it from being switched to; null when nothing does. */
  building: { generation: number; consumer: string; by: string; at: string; waits: string | null } | null
  kept: { generation: number; consumer: string } | null
  retired: number[]
  /** Of the generation that is being built, by stream. */
  progress: { stream: string; applied: number; left: number }[]
}
