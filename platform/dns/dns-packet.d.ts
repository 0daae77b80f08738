/** The part of dns-packet 5 that tests read and write messages with, which nothing here wrote. */
declare module "dns-packet" {
  export interface Option {
    readonly code: number | string;
    readonly family?: number;
    readonly ip?: string;
    readonly sourcePrefixLength?: number;
    readonly scopePrefixLength?: number;
    readonly data?: Buffer;
  }
  export interface Packet {
    readonly id?: number;
    readonly type?: "query" | "response";
    readonly flags?: number;
    readonly opcode?: string;
    readonly rcode?: string;
    readonly flag_aa?: boolean;
    readonly flag_tc?: boolean;
    readonly flag_rd?: boolean;
    readonly flag_ra?: boolean;
    readonly questions?: readonly { readonly name: string; readonly type: string; readonly class?: string }[];
    readonly answers?: readonly Entry[];
    readonly authorities?: readonly Entry[];
    readonly additionals?: readonly Entry[];
  }
  export interface Entry {
    readonly name: string;
    readonly type: string;
    readonly ttl?: number;
    readonly data?: unknown;
    readonly udpPayloadSize?: number;
    readonly ednsVersion?: number;
    readonly extendedRcode?: number;
    readonly flags?: number;
    readonly options?: readonly Option[];
  }
  export function encode(packet: Packet): Buffer;
  export function decode(bytes: Buffer): Required<Packet>;
}
