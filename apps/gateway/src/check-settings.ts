import { readFile } from 'node:fs/promises'
import { assertRedisUrl } from '@skerry/cache/redis-url'
import type { GatewayConfig } from './config.ts'
import { parseNetworks } from './door/address.ts'
import { limitPoliciesOf } from './limits/limit-policies.ts'
import { certificateFiles, readCertificate } from './listen/certificate.ts'

/** In less, honest load makes workers look as if they hung: the system counts what they ran in steps of 10 ms. */
const LEAST_HANG_MS = 1_000

/** Throws one line that names the first setting that cannot work although it has the right form: before anything starts, workers among it. */
export async function checkSettings(config: GatewayConfig): Promise<void> {
  const { REDIS_URL, UPSTREAM_CA_FILE } = config
  if (config.WORKER_HANG_MS > 0 && config.WORKER_HANG_MS < LEAST_HANG_MS)
    throw new Error(
      `WORKER_HANG_MS is ${config.WORKER_HANG_MS}: give ${LEAST_HANG_MS} or more, or 0. A worker that collects its memory, or that others keep from the processor, is silent for some tenths of a second, and would be killed`
    )
  const { HEADERS_TIMEOUT_MS, REQUEST_TIMEOUT_MS } = config
  // Node makes no server then, and says so in its own names.
  if (REQUEST_TIMEOUT_MS < HEADERS_TIMEOUT_MS)
    throw new Error(
      `REQUEST_TIMEOUT_MS is ${REQUEST_TIMEOUT_MS} and HEADERS_TIMEOUT_MS ${HEADERS_TIMEOUT_MS}: a whole request cannot have less time than its headers. Give a REQUEST_TIMEOUT_MS of ${HEADERS_TIMEOUT_MS} or more, or a HEADERS_TIMEOUT_MS of ${REQUEST_TIMEOUT_MS} or less`
    )
  parseNetworks(config.TRUSTED_PROXIES, 'TRUSTED_PROXIES')
  parseNetworks(config.LIMIT_EXEMPT, 'LIMIT_EXEMPT')
  limitPoliciesOf(config)
  if (REDIS_URL !== undefined) assertRedisUrl(REDIS_URL)
  if (UPSTREAM_CA_FILE !== undefined)
    await readFile(UPSTREAM_CA_FILE).catch((error: Error) => {
      throw new Error(`UPSTREAM_CA_FILE ${UPSTREAM_CA_FILE} cannot be read: ${error.message}`, { cause: error })
    })
  const files = certificateFiles(config)
  if (files !== undefined)
    await readCertificate(files).catch((error: Error) => {
      const { certFile, keyFile } = files
      throw new Error(
        `TLS_CERT_FILE ${certFile} and TLS_KEY_FILE ${keyFile} cannot be used: ${error.message}. Give a certificate and its key as PEM files`,
        { cause: error }
      )
    })
}
