import type { SkerryError } from '@skerry/contracts'
import type { Visit } from '../door/visit.ts'
import type { AnswerHead } from '../head/answer-head.ts'

/**
 * What a team wants of its gateway beyond what everybody gets: one file in this folder, named in `list.ts`, which says their order. Both hooks are
 * called at once and answer at once: a policy that has to ask somebody reads what it needs beforehand. What they throw is a fault, which is counted.
 */
export type Policy = {
  /** In metrics, and in the log. */
  readonly name: string
  /**
   * At the door, before a token is looked at: with an answer the request is refused by it, in the one shape of all problems. `visit` has its
   * method, path (empty where not all would read it in one way), headers (`raw.headers`), address and route; no caller yet. What this throws
   * is answered 500.
   */
  onRequest?(visit: Visit): SkerryError | undefined
  /**
   * Before the head of any answer is written, whoever gave it: a service, the cache, the gateway itself. `visit` is undefined where what came
   * was no request. Of what was refused ahead of step 5 of the door (docs/gateway-clients.md, "The door") its `address` is '', of a path that is none that
   * all read in the same way its `path`; it has no `route` then. When this throws, the answer goes out as it was.
   */
  onHead?(head: AnswerHead, visit: Visit | undefined): void
}

/** Gives a policy its type. */
export function definePolicy(policy: Policy): Policy {
  return policy
}
