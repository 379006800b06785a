import t from 'tap'
import { announcedTrailers, answerTrailers, requestTrailers, takesTrailers } from '../../src/proxy/streamed/trailers.ts'

t.test('what may be a trailer passes, and nothing that decides how a message is read or who sent it', async (t) => {
  const hostile = [
    ...[
      'content-length',
      '3',
      'Transfer-Encoding',
      'chunked',
      'host',
      'x',
      'authorization',
      'Bearer x',
      'cookie',
      'a=1'
    ],
    ...['X_Forwarded_For', '1.1.1.1', 'x-skerry-deadline', '1', 'x-user-id', 'eve', 'trailer', 'x', 'te', 'trailers'],
    ...[
      'if-match',
      '*',
      'content-type',
      'text/html',
      'idempotency-key',
      'k',
      'expect',
      '100-continue',
      '__proto__',
      'x'
    ],
    ...['content_type', 'text/html', 'set_cookie', 'a=1', 'idempotency.key', 'k'],
    ...['x bad', '1', 'x-line', 'a\r\nb: c']
  ]
  t.same(requestTrailers([...hostile, 'X-Checksum', 'abc']), ['x-checksum', 'abc'])
  t.same(
    answerTrailers({
      'set-cookie': 'a=1',
      'x-skerry-revoked': 'all',
      etag: '"1"',
      location: '/',
      server: 'x',
      'access-control-allow-origin': '*'
    }),
    {
      etag: '"1"'
    }
  )
  const many = Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1']).flat()
  t.equal(requestTrailers(many).length, 64, 'thirty-two of them')
  t.equal(announcedTrailers('X-Sum, authorization,host , x-b', 'request'), 'x-sum, x-b')
  t.equal(announcedTrailers('authorization', 'request'), undefined)
  t.equal(announcedTrailers(undefined, 'answer'), undefined)
  for (const te of ['trailers', 'gzip, trailers', 'Trailers;q=0.5']) t.ok(takesTrailers(te), te)
  for (const te of [undefined, '', 'gzip', 'x-trailers', 'trailersx']) t.notOk(takesTrailers(te))
})
