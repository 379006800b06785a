import { assertIdentityUrl } from '@skerry/service'
import type { GatewayConfig } from '../config.ts'
import { readList } from './fixed-list.ts'
import { keysOf } from './keys.ts'
import { textsOf } from './texts.ts'

/** Throws for what cannot be served safely, in one line, before anything starts. */
export async function checkAlone(config: GatewayConfig): Promise<void> {
  const keys = keysOf(config)
  if (keys !== undefined) assertIdentityUrl(keys)
  readList(await textsOf(config)(), keys === undefined)
}
