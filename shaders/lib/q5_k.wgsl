// Q5_K: d * sc * q - dmin * mn.
//% include "k_scales"
//% include "fifth_bits"
