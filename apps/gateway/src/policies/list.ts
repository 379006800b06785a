import type { Policy } from './policy.ts'

/** The policies of this gateway, in the order in which they are asked: each is a file of this folder (docs/gateway.md, "Policies"). */
export const POLICIES: readonly Policy[] = []
