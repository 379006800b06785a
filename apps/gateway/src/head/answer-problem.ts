import type { ServerResponse } from 'node:http'
import type { SkerryError } from '@skerry/contracts'
import type { Visit } from '../door/visit.ts'
import type { Heads } from './heads.ts'

/** Writes the head of an error's problem. Answers its status, and the body that has to follow: undefined to HEAD. */
export function writeProblem(
  heads: Heads,
  visit: Visit,
  response: ServerResponse,
  error: SkerryError,
  closing: boolean
): { readonly status: number; readonly body: string | undefined } {
  const { status, list, body } = heads.problem(visit, error, closing)
  heads.write(response, visit, status, list)
  return { status, body: visit.method === 'HEAD' ? undefined : body }
}

/** Answers a visit with the problem of an error, whole and at once. */
export function answerProblem(
  heads: Heads,
  visit: Visit,
  response: ServerResponse,
  error: SkerryError,
  closing = false
): void {
  response.end(writeProblem(heads, visit, response, error, closing).body)
}
