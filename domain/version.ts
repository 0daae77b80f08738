/** Of all of Perigee; what the wire calls a program's software version. `package.json` says the same. */
export const SOFTWARE_VERSION = "0.1.0";
