import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { GatewayConfig } from '../config.ts'

export type Certificate = { cert: Buffer; key: Buffer }
export type CertificateFiles = { certFile: string; keyFile: string }

/** Where the certificate is, if there is one. Throws when one of the two is missing. */
export function certificateFiles(config: Pick<GatewayConfig, 'TLS_CERT_FILE' | 'TLS_KEY_FILE'>) {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = config
  if (certFile === undefined && keyFile === undefined) return undefined
  if (certFile === undefined || keyFile === undefined) throw new Error('TLS_CERT_FILE and TLS_KEY_FILE belong together')
  return { certFile, keyFile }
}

/** Reads a certificate (with its chain) and its key, both PEM. Throws when a file is missing or they do not belong together. */
export async function readCertificate({ certFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)])
  // Throws for anything that TLS could not use.
  createSecureContext({ cert, key })
  return { cert, key }
}

export type CertificateWatch = {
  /** Looks at the files now, as it else does every `everyMs`. */
  look(): Promise<void>
  close(): void
}

/**
 * Looks at the files every `everyMs` and says when there is another certificate. It compares what is in them, since volumes of a
 * cluster swap links without any event. Files that do not fit together (one of them is being replaced) or cannot be read leave the old
 * certificate in place; the reason is told once.
 */
export function watchCertificate(
  files: CertificateFiles,
  current: Certificate,
  everyMs: number,
  on: { changed(certificate: Certificate, validTo: Date): void; failed(error: Error): void }
): CertificateWatch {
  let used = current
  let told: string | undefined
  let looking: Promise<void> | undefined
  const look = async () => {
    try {
      const found = await readCertificate(files)
      told = undefined
      if (found.cert.equals(used.cert) && found.key.equals(used.key)) return
      used = found
      on.changed(found, new X509Certificate(found.cert).validToDate)
    } catch (error) {
      const { message } = error as Error
      if (message === told) return
      told = message
      on.failed(error as Error)
    }
  }
  const lookOnce = () => {
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }
  const timer = setInterval(lookOnce, everyMs).unref()
  return { look: lookOnce, close: () => clearInterval(timer) }
}
