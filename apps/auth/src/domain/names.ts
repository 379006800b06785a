/** What makes two email addresses the same account. */
export function emailKey(email: string): string {
  return email.normalize('NFC').toLowerCase()
}

/** What makes two usernames the same. */
export function usernameKey(username: string): string {
  return username.toLowerCase()
}

/** A login is an email address when it has an @, which no username can have. */
export function isEmail(login: string): boolean {
  return login.includes('@')
}
