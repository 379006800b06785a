/**
 * What every answer says of itself to browsers, unless its service says otherwise: answers are JSON, so nothing may be loaded or framed. Apps
 * on other origins load media and read answers; which of them may is for CORS to say. What speaks to pages, or to browsers that are gone,
 * is left out: a phone pays for each byte. A test compares this with what @fastify/helmet would say.
 */
export const SECURITY_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['content-security-policy', "default-src 'none';frame-ancestors 'none'"],
  ['cross-origin-resource-policy', 'cross-origin'],
  ['referrer-policy', 'no-referrer'],
  ['strict-transport-security', 'max-age=31536000; includeSubDomains'],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY']
]
