"""Servers of OpenStack as machines: nova starts them, neutron connects them, glance has their images."""
