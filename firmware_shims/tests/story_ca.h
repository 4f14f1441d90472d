/* The CA of story 004, as its author posted it (ST's example "Example Certificate Authority"). */
#ifndef HIL_STORY_CA_H
#define HIL_STORY_CA_H

static const char STORY_CA[] = "-----BEGIN CERTIFICATE-----\r\n"
                               "MIID3zCCA0igAwIBAgIJAMo2ixe4LOmpMA0GCSqGSIb3DQEBCwUAMIGTMQswCQYD\r\n"
                               "VQQGEwJGUjEPMA0GA1UECAwGUmFkaXVzMRIwEAYDVQQHDAlTb21ld2hlcmUxFTAT\r\n"
                               "BgNVBAoMDEV4YW1wbGUgSW5jLjEgMB4GCSqGSIb3DQEJARYRYWRtaW5AZXhhbXBs\r\n"
                               "ZS5vcmcxJjAkBgNVBAMMHUV4YW1wbGUgQ2VydGlmaWNhdGUgQXV0aG9yaXR5MB4X\r\n"
                               "DTE2MDcwNDA5MjE0NVoXDTI2MDUxMzA5MjE0NVowgZMxCzAJBgNVBAYTAkZSMQ8w\r\n"
                               "DQYDVQQIDAZSYWRpdXMxEjAQBgNVBAcMCVNvbWV3aGVyZTEVMBMGA1UECgwMRXhh\r\n"
                               "bXBsZSBJbmMuMSAwHgYJKoZIhvcNAQkBFhFhZG1pbkBleGFtcGxlLm9yZzEmMCQG\r\n"
                               "A1UEAwwdRXhhbXBsZSBDZXJ0aWZpY2F0ZSBBdXRob3JpdHkwgZ8wDQYJKoZIhvcN\r\n"
                               "AQEBBQADgY0AMIGJAoGBAMZ5WNHGNjSo6m6FKMzXTN4XY+F4DbLIDn+VtrMvPRyk\r\n"
                               "MdqlBXrUptVfC5wtKbaAVveBlEHFg2Zwp0bMURxvkqQPBg0DWWwzIcOS9TArdTw9\r\n"
                               "wWS87KpzPeYf/ebMZ7KwwvETFvBAEbH3J0Nw8iJim6qkkga3m9PhZrERCPx89F7r\r\n"
                               "AgMBAAGjggE3MIIBMzAdBgNVHQ4EFgQUPvF0f9eRIhRLyt9Pld+WCjKCO0wwgcgG\r\n"
                               "A1UdIwSBwDCBvYAUPvF0f9eRIhRLyt9Pld+WCjKCO0yhgZmkgZYwgZMxCzAJBgNV\r\n"
                               "BAYTAkZSMQ8wDQYDVQQIDAZSYWRpdXMxEjAQBgNVBAcMCVNvbWV3aGVyZTEVMBMG\r\n"
                               "A1UECgwMRXhhbXBsZSBJbmMuMSAwHgYJKoZIhvcNAQkBFhFhZG1pbkBleGFtcGxl\r\n"
                               "Lm9yZzEmMCQGA1UEAwwdRXhhbXBsZSBDZXJ0aWZpY2F0ZSBBdXRob3JpdHmCCQDK\r\n"
                               "NosXuCzpqTAPBgNVHRMBAf8EBTADAQH/MDYGA1UdHwQvMC0wK6ApoCeGJWh0dHA6\r\n"
                               "Ly93d3cuZXhhbXBsZS5vcmcvZXhhbXBsZV9jYS5jcmwwDQYJKoZIhvcNAQELBQAD\r\n"
                               "gYEAa4csCQf9JWPopeqOiMKlYcOFgF74Q0+sE3qEXb5MbSu3Z7tTVe9MNWXQ192h\r\n"
                               "djKGPTKSMEu/8q9HL8l3Zhd96UKhaAMT7Yftk4SqEb/7orbznJi2cQF8dfDqgRQY\r\n"
                               "U6mh1KIu5hMu/+aXHdw+IQav3Q5Css5WoKGoNLooN3hv1mE=\r\n"
                               "-----END CERTIFICATE-----\r\n"
                               "";

#endif
