/** Throws for a URL that no Redis can have; what it says does not repeat the URL, which may hold a password. */
export function assertRedisUrl(url: string): void {
  if (!/^rediss?:\/\/[^/]/.test(url) || !URL.canParse(url))
    throw new Error('the URL of Redis is none: write it as redis://127.0.0.1:6379 or rediss://host:port')
}
