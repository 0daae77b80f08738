/** Addresses for programs that are killed and come back to them. */

let given = 0;

/**
 * A loopback address (127.0.0.0/8, on Linux all of it is there) that this process alone uses: nobody takes the ports of
 * a program while it is down, neither another test nor an outgoing connection.
 */
export function ownLoopback(): string {
  given += 1;
  return `127.${1 + ((process.pid >> 8) % 250)}.${process.pid & 0xff}.${given}`;
}
