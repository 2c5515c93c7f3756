// Runs the checks of one client and prints a line for each; the harness counts them.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

// The broker to test, HOST:PORT.
export function bootstrap () {
  const address = process.env.SENDLOG_TEST_BOOTSTRAP
  assert.ok(address, 'SENDLOG_TEST_BOOTSTRAP is not set')
  return address
}

// A topic name that no earlier run has used.
export function unique (name) {
  return `conformance-${name}-${randomBytes(4).toString('hex')}`
}

export class Checks {
  failed = false

  constructor (client, version) {
    console.log(`client ${client} ${version}`)
  }

  // Runs one check, which fails by throwing.
  async run (name, check) {
    try {
      await check()
      console.log(`ok ${name}`)
    } catch (error) {
      this.failed = true
      console.log(`FAIL ${name}: ${String(error).split(/\s+/).join(' ').slice(0, 600)}`)
      console.error(name, error)
    }
  }

  // Runs one check if what it needs was done.
  async runIf (done, name, check) {
    if (done) await this.run(name, check)
    else console.log(`skip ${name}: nobody here owns the broker`)
  }

  // Asks the harness, which owns the broker, to `restart` it or to `kill` and start it; whether that was done.
  async want (what) {
    console.log(`want ${what}`)
    this.input ??= createInterface(process.stdin)[Symbol.asyncIterator]()
    return (await this.input.next()).value === 'done'
  }

  // Ends the program, whatever a client still keeps open.
  finish () {
    process.exit(this.failed ? 1 : 0)
  }
}

// What `check` gives, at the first try: sendlog has done what it has answered. Apache Kafka answers before its brokers
// know, so there (SENDLOG_TEST_EVENTUAL=1) it is tried for some seconds.
export async function eventually (check) {
  const deadline = Date.now() + (process.env.SENDLOG_TEST_EVENTUAL ? 10_000 : 0)
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (deadline < Date.now()) throw error
      await pause(50)
    }
  }
}

export function equal (actual, expected, what = 'value') {
  assert.deepEqual(actual, expected, `${what} is ${shorten(actual)}, expected ${shorten(expected)}`)
}

export function isTrue (condition, what) {
  assert.ok(condition, what)
}

// `check` must fail with an error that `accepts` takes.
export async function fails (check, accepts, what) {
  let result
  try {
    result = await check()
  } catch (error) {
    if (!accepts(error)) throw new Error(`${what}: ${error}`, { cause: error })
    return
  }
  throw new Error(`${what}: no error, but ${shorten(result)}`)
}

function shorten (value) {
  const text = JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v)) ?? String(value)
  return text.length <= 300 ? text : `${text.slice(0, 300)}... (${text.length} characters)`
}
