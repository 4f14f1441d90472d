#include "mqtt_check.h"

#include "utf8.h"

void hil_mqtt_check_text(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule) {
    unsigned bits = hil_utf8_check(s);
    if ((bits & HIL_UTF8_BAD) != 0) {
        hil_mqtt_breach(p, HIL_RULE_UTF8);
        hil_mqtt_breach(p, rule);
    }
    if ((bits & HIL_UTF8_NUL) != 0) {
        hil_mqtt_breach(p, HIL_RULE_UTF8_NUL);
    }
}

void hil_mqtt_check_topic(struct hil_mqtt_packet *p, struct hil_span s, enum hil_rule rule) {
    hil_mqtt_check_text(p, s, rule);
    if (s.n > 0 && memchr(s.p, 0, s.n) != NULL) {
        hil_mqtt_breach(p, HIL_RULE_TOPIC_NUL);
    }
}

/* Wildcards of a filter: # only alone in the last level, + only alone in a level. */
static void check_wildcards(struct hil_mqtt_packet *p, struct hil_span s) {
    for (size_t i = 0; i < s.n; i++) {
        bool start = i == 0 || s.p[i - 1] == '/';
        bool end = i + 1 == s.n;
        if (s.p[i] == '#' && !(start && end)) {
            hil_mqtt_breach(p, HIL_RULE_FILTER_HASH);
        }
        if (s.p[i] == '+' && !(start && (end || s.p[i + 1] == '/'))) {
            hil_mqtt_breach(p, HIL_RULE_FILTER_PLUS);
        }
    }
}

void hil_mqtt_check_filter(struct hil_mqtt_packet *p, const struct hil_filter *f, enum hil_rule utf8) {
    static const char share[] = "$share/";
    struct hil_span t = f->topic;
    hil_mqtt_check_topic(p, t, utf8);
    if (t.n == 0) {
        hil_mqtt_breach(p, HIL_RULE_TOPIC_EMPTY);
        return;
    }
    bool shared = p->level >= 5 && t.n >= sizeof share - 1 && memcmp(t.p, share, sizeof share - 1) == 0;
    if (shared) {
        hil_skip(&t, sizeof share - 1);
        size_t n = 0;
        while (n < t.n && t.p[n] != '/') {
            if (t.p[n] == '+' || t.p[n] == '#') {
                hil_mqtt_breach(p, HIL_RULE_SHARE_FORM);
            }
            n++;
        }
        if (n == 0) {
            hil_mqtt_breach(p, HIL_RULE_SHARE_NAME);
        } else if (n + 1 >= t.n) {
            hil_mqtt_breach(p, HIL_RULE_SHARE_FORM);
        }
        if (p->type == HIL_MQTT_SUBSCRIBE && (f->options & 4U) != 0) {
            hil_mqtt_breach(p, HIL_RULE_SHARED_NO_LOCAL);
        }
        hil_skip(&t, n < t.n ? n + 1 : n);
    }
    check_wildcards(p, t);
}
