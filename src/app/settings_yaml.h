/* settings_yaml.h - settings from the text of a YAML file.
 *
 * Lifetime: the call.
 * Threads:  any, on different configs.
 * Memory:   libyaml's heap while the call runs; nested at most WEFT_SETTINGS_DEPTH_MAX deep.
 */
#ifndef WEFT_APP_SETTINGS_YAML_H
#define WEFT_APP_SETTINGS_YAML_H

#include "app/config.h"

#define WEFT_SETTINGS_DEPTH_MAX 8

/** Set what a YAML text says. A pure function of its arguments, also a fuzz target.
 *  name_z   the file's name for messages
 *  text     the whole file; borrowed for the call
 *  returns  0; WEFT_ECONFIG: lines were added to errors, what was right has been set;
 *           WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_settings_yaml(struct weft_config *config, const char *name_z, weft_str text,
                           struct weft_config_errors *errors);

#endif
