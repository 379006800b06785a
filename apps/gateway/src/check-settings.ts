import { readFile } from 'node:fs/promises'
import { assertRedisUrl } from '@skerry/cache'
import type { GatewayConfig } from './config.ts'
import { parseNetworks } from './door/address.ts'
import { limitPoliciesOf } from './limits/limit-policies.ts'
import { certificateFiles, readCertificate } from './listen/certificate.ts'

/** Throws one line that names the first setting that cannot work although it has the right form: before anything starts, workers among it. */
export async function checkSettings(config: GatewayConfig): Promise<void> {
  const { REDIS_URL, UPSTREAM_CA_FILE } = config
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
