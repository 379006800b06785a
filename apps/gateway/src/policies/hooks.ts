import { SkerryError } from '@skerry/contracts'
import type { FaultLog, Logger } from '@skerry/service'
import type { Visit } from '../door/visit.ts'
import type { AnswerHead } from '../head/answer-head.ts'
import type { Policy } from './policy.ts'

/** The policies as the door and the heads ask them; undefined where there is nobody to ask, which then costs nothing. */
export type PolicyHooks = {
  readonly onRequest: ((visit: Visit) => SkerryError | undefined) | undefined
  readonly onHead: ((head: AnswerHead, visit: Visit | undefined) => void) | undefined
}

export type PolicyDeps = {
  log: Pick<Logger, 'debug'>
  /** A policy refused a request. */
  onRefused(policy: string): void
  /** A policy threw. */
  onFault: FaultLog
}

const NAME = /^[a-z][a-z0-9-]{0,63}$/

/** Makes the hooks of a list of policies. Throws for names that are none, or there twice. */
export function hooksOf(policies: readonly Policy[], { log, onRefused, onFault }: PolicyDeps): PolicyHooks {
  const names = new Set<string>()
  for (const { name } of policies) {
    if (!NAME.test(name)) throw new Error(`policy ${JSON.stringify(name)}: a name is small letters, digits and -`)
    if (names.has(name)) throw new Error(`policy ${name} is there twice`)
    names.add(name)
  }
  const asked = policies.filter(({ onRequest }) => onRequest !== undefined)
  const heads = policies.filter(({ onHead }) => onHead !== undefined)

  const ask = (policy: Policy, visit: Visit): SkerryError | undefined => {
    try {
      return policy.onRequest!(visit)
    } catch (error) {
      onFault(`policy ${policy.name}`, error)
      return new SkerryError('INTERNAL', { cause: error })
    }
  }
  const onRequest = (visit: Visit): SkerryError | undefined => {
    for (const policy of asked) {
      const refusal = ask(policy, visit)
      if (refusal === undefined) continue
      onRefused(policy.name)
      log.debug({ policy: policy.name, requestId: visit.id, code: refusal.code }, 'refused by a policy')
      return refusal
    }
    return undefined
  }
  const onHead = (head: AnswerHead, visit: Visit | undefined): void => {
    for (const policy of heads) {
      try {
        policy.onHead!(head, visit)
      } catch (error) {
        onFault(`policy ${policy.name}`, error)
      }
    }
  }
  return {
    onRequest: asked.length === 0 ? undefined : onRequest,
    onHead: heads.length === 0 ? undefined : onHead
  }
}
