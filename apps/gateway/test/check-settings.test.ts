import { join } from 'node:path'
import t from 'tap'
import { textsOf } from '../src/alone/texts.ts'
import { checkSettings } from '../src/check-settings.ts'
import { readAloneConfig } from '../src/config.ts'
import { certificateFiles } from './helpers/clients.ts'

t.test('a setting that cannot work is named in one line before anything starts', async (t) => {
  const none = join(t.testdir({ none: 'no PEM' }), 'none')
  const { files, write } = await certificateFiles(t)
  await write('a.example')
  const check = (env: Record<string, string>) =>
    checkSettings(readAloneConfig({ ROUTES: '/feed=http://127.0.0.1:1', ...env }))
  const bad: Array<[Record<string, string>, RegExp]> = [
    [
      { REDIS_URL: 'redis://:secret@r:99999' },
      /^the URL of Redis is none: write it as redis:\/\/127.0.0.1:6379 or .*$/
    ],
    [{ REDIS_URL: 'redis://' }, /^the URL of Redis is none/],
    [{ TRUSTED_PROXIES: 'lb' }, /TRUSTED_PROXIES has "lb", which is neither an address nor a CIDR$/],
    [{ LIMIT_EXEMPT: '10.0.0.0/99' }, /LIMIT_EXEMPT has "10.0.0.0\/99"/],
    [{ LIMIT_CLASSES: 'upload' }, /LIMIT_CLASSES has "upload", which is not of the form name=rate\/burst$/],
    [{ TLS_CERT_FILE: none }, /^TLS_CERT_FILE and TLS_KEY_FILE belong together$/],
    [
      { TLS_CERT_FILE: none, TLS_KEY_FILE: '/nowhere/key' },
      /^TLS_CERT_FILE .*none and TLS_KEY_FILE \/nowhere\/key cannot be used: ENOENT.*\. Give a certificate and its key as PEM/
    ],
    [{ ...files, TLS_KEY_FILE: none }, /cannot be used: .*\. Give a certificate and its key as PEM files$/],
    [{ WORKER_HANG_MS: '1' }, /^WORKER_HANG_MS is 1: give 1000 or more, or 0\. .* would be killed$/],
    [{ WORKER_HANG_MS: '999' }, /^WORKER_HANG_MS is 999/],
    [
      { REQUEST_TIMEOUT_MS: '9999' },
      /^REQUEST_TIMEOUT_MS is 9999 and HEADERS_TIMEOUT_MS 10000: .* Give a REQUEST_TIMEOUT_MS of 10000 or more, or a HEADERS_TIMEOUT_MS of 9999 or less$/
    ],
    [{ HEADERS_TIMEOUT_MS: '30001' }, /^REQUEST_TIMEOUT_MS is 30000 and HEADERS_TIMEOUT_MS 30001/],
    [{ UPSTREAM_CA_FILE: '/nowhere/ca' }, /^UPSTREAM_CA_FILE \/nowhere\/ca cannot be read: ENOENT/]
  ]
  for (const [env, message] of bad) {
    await t.rejects(check(env), { message }, JSON.stringify(env))
    await check(env).catch(({ message }) => t.notMatch(message, /\n|secret/))
  }
  for (const WORKER_HANG_MS of ['0', '1000']) await check({ WORKER_HANG_MS })
  await check({ REQUEST_TIMEOUT_MS: '1', HEADERS_TIMEOUT_MS: '1' })
  await check({
    ...files,
    TRUSTED_PROXIES: '10.0.0.0/8',
    REDIS_URL: 'rediss://r:6380',
    UPSTREAM_CA_FILE: files.TLS_CERT_FILE
  })
  const read = (file: string) => textsOf({ ROUTES_FILE: file })()
  await t.rejects(read('/'), /^ROUTES_FILE \/ cannot be read: EISDIR.*\. Give the path of a text file$/)
})
