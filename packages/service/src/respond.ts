import type { RouteContract } from '@skerry/contracts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { TSchema } from 'typebox'
import { etagOf, noneMatch } from './conditional.ts'
import { type Picker, pickerOf, pickerOfFields } from './fields.ts'
import type { StoredAnswer } from './idempotency.ts'
import { validatorOf } from './validation.ts'

const nothing: Picker = () => undefined
const JSON_TYPE = 'application/json; charset=utf-8'

/** How the results of one route become answers. */
export type Answerer = {
  /** The members that `fields` asks for. Throws BAD_REQUEST for those the resource does not have. */
  pick(query: unknown): Picker
  send(reply: FastifyReply, request: FastifyRequest, result: unknown, pick: Picker): void
  /** The answer as it is stored for `Idempotency-Key`. */
  stored(result: unknown): StoredAnswer
}

/** The one success status of a contract and its schema (null: an empty body). */
export function successOf(contract: RouteContract): { status: number; schema: TSchema | null } {
  const found = Object.entries(contract.response).filter(([status]) => Number(status) < 300)
  const [first] = found
  if (first === undefined || found.length !== 1)
    throw new Error(`${contract.method} ${contract.path} needs exactly one success status`)
  return { status: Number(first[0]), schema: first[1] }
}

/**
 * `check` refuses a result that does not fit the contract (an error, so 500). Bodies are made by a generated picker and JSON.stringify:
 * on Node 26 that takes 60 % of fast-json-stringify's time for a page of posts, and the hash finds a flat string.
 */
export function answererOf(
  contract: RouteContract,
  options: { cacheControl: string | undefined; check: boolean }
): Answerer {
  const { status, schema } = successOf(contract)
  if (schema === null) {
    return {
      pick: () => nothing,
      send: (reply) => {
        reply.code(status).send()
      },
      stored: () => ({ status, body: null })
    }
  }
  const whole = pickerOf(schema)
  const check = options.check ? checker(contract, schema) : undefined
  const bodyOf = (result: unknown, pick: Picker): string => {
    check?.(result)
    return JSON.stringify(pick(result))
  }
  const isGet = contract.method === 'GET'
  // A PATCH or PUT answers with what a GET would: its ETag lets the client go on without reading again.
  const tagged = isGet || contract.method === 'PATCH' || contract.method === 'PUT'
  // Never `private` under a public policy: the gateway hears it as a word about this one answer.
  const ordinary = contract.cache?.scope === 'public' ? 'public, no-cache' : 'private, no-cache'
  const cacheControl = isGet ? (options.cacheControl ?? ordinary) : 'no-store'
  const vary = contract.auth !== 'none'
  const takesFields =
    isGet && Object.hasOwn((contract.query as { properties?: object } | undefined)?.properties ?? {}, 'fields')
  const pickers = new LRUCache<string, Picker>({ max: 200 })

  const pickFields = (query: unknown): Picker => {
    const fields = (query as { fields?: string }).fields
    if (fields === undefined) return whole
    let picker = pickers.get(fields)
    if (picker === undefined) {
      picker = pickerOfFields(schema, fields)
      pickers.set(fields, picker)
    }
    return picker
  }

  return {
    pick: takesFields ? pickFields : () => whole,
    send: (reply, request, result, pick) => {
      const body = bodyOf(result, pick)
      reply.header('cache-control', cacheControl)
      if (vary) reply.header('vary', 'authorization')
      if (tagged) {
        const etag = etagOf(result, body)
        reply.header('etag', etag)
        const known = isGet ? request.headers['if-none-match'] : undefined
        if (known !== undefined && noneMatch(known, etag)) {
          reply.code(304).send()
          return
        }
      }
      reply.code(status).header('content-type', JSON_TYPE).send(body)
    },
    stored: (result) => ({
      status,
      body: bodyOf(result, whole),
      headers: { 'content-type': JSON_TYPE, 'cache-control': cacheControl }
    })
  }
}

/** Sends a stored answer as it was. */
export function sendStored(reply: FastifyReply, answer: StoredAnswer): void {
  reply.code(answer.status).headers(answer.headers ?? {})
  if (answer.body === null) reply.send()
  else reply.send(answer.body)
}

function checker(contract: RouteContract, schema: TSchema): (result: unknown) => void {
  const validate = validatorOf(schema, 'body')
  return (result) => {
    const violations = validate(result)
    if (violations === undefined) return
    throw new Error(
      `${contract.method} ${contract.path} does not answer as its contract says: ${JSON.stringify(violations)}`
    )
  }
}
