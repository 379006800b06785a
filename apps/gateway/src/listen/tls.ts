import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import type { Logger } from '@skerry/service'
import type { GatewayConfig } from '../config.ts'
import { type Certificate, certificateFiles, readCertificate, watchCertificate } from './certificate.ts'
import { ignore } from './guard.ts'
import { knowsAddress } from './known-address.ts'

export type Tls = {
  /** Shakes hands on a connection and passes it on by the protocol that was agreed on. */
  accept(socket: Socket): void
  /** Looks at the certificate's files now. */
  reload(): Promise<void>
  close(): void
}

/**
 * Forward secret and authenticated, as HTTP/2 demands (RFC 9113 9.2.2). TLS 1.3 first; the client's order holds, since a phone
 * without AES in hardware is better off with ChaCha20.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')

/** Whoever learns the key of tickets can read the sessions it resumed: it lives for a day at most. */
const TICKET_KEY_MS = 24 * 3_600_000
const TICKET_KEY_BYTES = 48

/**
 * TLS 1.2 and 1.3 with ALPN. Another certificate in the files is used for new connections and leaves the open ones alone. Undefined when
 * none is configured; throws when there is one that cannot be used.
 */
export async function openTls(
  config: GatewayConfig,
  log: Pick<Logger, 'info' | 'warn'> | undefined,
  to: { http1(socket: TLSSocket): void; http2(socket: TLSSocket): void }
): Promise<Tls | undefined> {
  const files = certificateFiles(config)
  if (files === undefined) return undefined
  const { certFile } = files
  const certificate = await readCertificate(files)
  const server = createServer(optionsOf(config, certificate))
  server.on('secureConnection', (socket) => {
    // For as long as it lives, whoever has it.
    socket.on('error', ignore)
    if (!knowsAddress(socket)) socket.destroy()
    else if (socket.alpnProtocol === 'h2') to.http2(socket)
    else to.http1(socket)
  })
  // A client that speaks no TLS, or does not come to its end, is nothing to log; Node leaves the connection of the latter open.
  server.on('tlsClientError', (_error, socket) => socket.destroy())

  const watch = watchCertificate(files, certificate, config.TLS_RELOAD_MS, {
    changed(found, validTo) {
      server.setSecureContext(optionsOf(config, found))
      log?.info({ certFile, validTo }, 'TLS certificate reloaded')
    },
    failed: (error) =>
      log?.warn({ certFile, reason: error.message }, 'failed to reload the TLS certificate: keeping the current one')
  })
  const rotation = setInterval(() => server.setTicketKeys(randomBytes(TICKET_KEY_BYTES)), TICKET_KEY_MS).unref()

  return {
    accept(socket) {
      socket.allowHalfOpen = false
      // TLS reads from its handle and speaks for it; what the socket itself says comes too late.
      socket.on('error', () => socket.destroy())
      // Documented for connections that come another way than by listening.
      server.emit('connection', socket)
    },
    reload: () => watch.look(),
    close() {
      watch.close()
      clearInterval(rotation)
    }
  }
}

function optionsOf(config: GatewayConfig, { cert, key }: Certificate): TlsOptions {
  return {
    cert,
    key,
    ALPNProtocols: ['h2', 'http/1.1'],
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: false,
    handshakeTimeout: config.HEADERS_TIMEOUT_MS,
    sessionTimeout: config.TLS_TICKET_SECONDS,
    ticketKeys: randomBytes(TICKET_KEY_BYTES)
  }
}
